import { readFileSync } from "node:fs";
import { dirname, join, sep } from "node:path";

/** The package a file belongs to, as its nearest package.json tells. */
export interface PackageScope {
  /** Directory of the package.json. */
  readonly root: string;
  readonly type: "module" | "commonjs" | undefined;
  readonly name: string | undefined;
}

const scopes = new Map<string, PackageScope | undefined>();

/** Kept for the life of the process, as Node keeps what it reads of a package. */
export function packageScope(file: string): PackageScope | undefined {
  return scopeOfDirectory(dirname(file));
}

/** Whether a file or directory is part of an installed package. */
export function isInstalled(path: string): boolean {
  return path.includes(`${sep}node_modules${sep}`);
}

function scopeOfDirectory(directory: string): PackageScope | undefined {
  const cached = scopes.get(directory);
  if (cached !== undefined || scopes.has(directory)) return cached;
  const scope = readScope(directory) ?? outerScope(directory);
  scopes.set(directory, scope);
  return scope;
}

function outerScope(directory: string): PackageScope | undefined {
  const parent = dirname(directory);
  return parent === directory || directory.endsWith(`${sep}node_modules`)
    ? undefined
    : scopeOfDirectory(parent);
}

function readScope(root: string): PackageScope | undefined {
  let fields: { type?: unknown; name?: unknown } | null;
  try {
    fields = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
  } catch {
    return undefined;
  }
  const { type, name } = fields ?? {};
  return {
    root,
    type: type === "module" || type === "commonjs" ? type : undefined,
    name: typeof name === "string" ? name : undefined,
  };
}
