import { dirname, join, sep } from "node:path";
import { readSourceNow } from "./source-text.ts";

/** The package of a file, according to its nearest package.json. */
export interface PackageScope {
  /** Directory of the package.json. */
  readonly root: string;
  readonly type: "module" | "commonjs" | undefined;
  readonly name: string | undefined;
  readonly version: string | undefined;
  /** The names that begin with `#`, and what they stand for. */
  readonly imports: Readonly<Record<string, unknown>> | undefined;
}

const scopes = new Map<string, PackageScope | undefined>();

/** Returns the package of a file. As in Node, the answer is kept for the life of the process. */
export function packageScope(file: string): PackageScope | undefined {
  return scopeOfDirectory(dirname(file));
}

/** Whether a file or directory is part of an installed package. */
export function isInstalled(path: string): boolean {
  return path.includes(`${sep}node_modules${sep}`);
}

/** Returns the root directory of a file's package. Nested package.json files do not split an installed package. */
export function packageRoot(file: string): string | undefined {
  if (!isInstalled(file)) return packageScope(file)?.root;
  const marker = `${sep}node_modules${sep}`;
  const start = file.lastIndexOf(marker) + marker.length;
  const parts = file.slice(start).split(sep);
  const depth = parts[0]?.startsWith("@") ? 2 : 1;
  return parts.length > depth ? file.slice(0, start) + parts.slice(0, depth).join(sep) : undefined;
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
  let fields: { type?: unknown; name?: unknown; version?: unknown; imports?: unknown } | null;
  try {
    fields = JSON.parse(readSourceNow(join(root, "package.json")));
  } catch {
    return undefined;
  }
  const { type, name, version, imports } = fields ?? {};
  return {
    root,
    type: type === "module" || type === "commonjs" ? type : undefined,
    name: typeof name === "string" ? name : undefined,
    version: typeof version === "string" ? version : undefined,
    imports:
      typeof imports === "object" && imports !== null ? (imports as Record<string, unknown>) : undefined,
  };
}
