import { statSync } from "node:fs";
import { createRequire, isBuiltin } from "node:module";
import { dirname, extname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { moduleResolve } from "import-meta-resolve";
import type { ImportKind } from "./module-record.ts";

/** What a specifier stands for: a file that may travel, or something that every context has. */
export type Resolution = { readonly id: string } | { readonly builtin: string };

/** This library in whatever form it runs: every context has its own, so it never travels. */
const OWN_INDEX = ["../index.js", "../index.ts"].map((path) => new URL(path, import.meta.url).href);

const MISSING = new Set(["ERR_MODULE_NOT_FOUND", "ERR_UNSUPPORTED_DIR_IMPORT", "MODULE_NOT_FOUND"]);

/** What TypeScript may be called in an import, by the extension written there. */
const WRITTEN_FOR: Readonly<Record<string, readonly string[]>> = {
  ".js": [".ts", ".tsx"],
  ".jsx": [".tsx"],
  ".mjs": [".mts"],
  ".cjs": [".cts"],
};
const GUESSES = [".ts", ".tsx", ".js", ".jsx", ".json"];

const requires = new Map<string, NodeJS.Require>();
let conditions: Set<string> | undefined;

/**
 * Resolves as the running Node does, with export conditions by the kind of import and symbolic links followed.
 * TypeScript parents may in addition write `./x.js` for `./x.ts`, leave the extension out, or name a directory.
 * Throws Node's own error when there is no such module.
 */
export function resolveModule(specifier: string, parentId: string, kind: ImportKind): Resolution {
  if (specifier === "mitogen") return { builtin: "mitogen" };
  if (isBuiltin(specifier))
    return { builtin: specifier.startsWith("node:") ? specifier : `node:${specifier}` };
  const id = kind === "import" ? resolveImport(specifier, parentId) : resolveRequire(specifier, parentId);
  if (id.startsWith("node:")) return { builtin: id };
  return OWN_INDEX.includes(id) ? { builtin: "mitogen" } : { id };
}

/** Whether a module is written in TypeScript, by its extension. */
export function isTypeScript(id: string): boolean {
  return /\.(?:[cm]?ts|tsx)$/.test(id.replace(/[?#].*$/, ""));
}

function resolveImport(specifier: string, parentId: string): string {
  conditions ??= importConditions();
  try {
    return moduleResolve(specifier, new URL(parentId), conditions).href;
  } catch (error) {
    const { code, url } = error as { code?: string; url?: string };
    const found = url?.startsWith("file:") && isTypeScript(parentId) && MISSING.has(code ?? "") && guess(url);
    if (found) return moduleResolve(found, new URL(parentId), conditions).href;
    throw error;
  }
}

function resolveRequire(specifier: string, parentId: string): string {
  const directory = dirname(fileURLToPath(parentId));
  let require = requires.get(directory);
  if (require === undefined) {
    require = createRequire(join(directory, "noop.js"));
    requires.set(directory, require);
  }
  try {
    return requiredId(require.resolve(specifier));
  } catch (error) {
    const isRelative = /^\.{0,2}\//.test(specifier) || specifier === "." || specifier === "..";
    const isMissing = MISSING.has((error as { code?: string }).code ?? "");
    const found =
      isRelative && isMissing && isTypeScript(parentId) && guess(new URL(specifier, parentId).href);
    if (found) return requiredId(require.resolve(fileURLToPath(found)));
    throw error;
  }
}

function requiredId(resolved: string): string {
  // tsx hangs a query on some of the paths it answers with.
  const path = resolved.replace(/\?(?:tsx-)?namespace=.*$/, "");
  if (isBuiltin(path)) return path.startsWith("node:") ? path : `node:${path}`;
  return pathToFileURL(path).href;
}

/** The file that TypeScript means by the URL of a file that is not there. */
function guess(url: string): string | undefined {
  const path = fileURLToPath(url);
  const extension = extname(path);
  const stem = path.slice(0, path.length - extension.length);
  const candidates = [
    ...(WRITTEN_FOR[extension] ?? []).map((other) => stem + other),
    ...GUESSES.map((other) => path + other),
    ...GUESSES.map((other) => join(path, `index${other}`)),
  ];
  const found = candidates.find((candidate) => statSync(candidate, { throwIfNoEntry: false })?.isFile());
  return found && pathToFileURL(found).href;
}

/** Node's default conditions and the ones this process was started with. */
function importConditions(): Set<string> {
  const own = ["node", "import", "node-addons"];
  // The condition belongs to require(esm); where that is off, packages must not be resolved by it.
  if ((process.features as { require_module?: boolean }).require_module) own.push("module-sync");
  const args = [...process.execArgv, ...(process.env.NODE_OPTIONS ?? "").split(/\s+/)];
  args.forEach((arg, i) => {
    const inline = /^(?:--conditions=|-C=?)(.+)$/.exec(arg)?.[1];
    const value = inline ?? (arg === "--conditions" || arg === "-C" ? args[i + 1] : undefined);
    if (value) own.push(value);
  });
  return new Set(own);
}
