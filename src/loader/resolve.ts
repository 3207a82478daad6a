import { statSync } from "node:fs";
import { createRequire, isBuiltin } from "node:module";
import { dirname, extname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { moduleResolve } from "import-meta-resolve";
import type { ImportKind } from "./module-record.ts";
import { packageScope } from "./package-scope.ts";

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
let conditions: Record<ImportKind, Set<string>> | undefined;

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
  conditions ??= exportConditions();
  try {
    return moduleResolve(specifier, new URL(parentId), conditions.import).href;
  } catch (error) {
    const { code, url } = error as { code?: string; url?: string };
    const found = url?.startsWith("file:") && isTypeScript(parentId) && MISSING.has(code ?? "") && guess(url);
    if (found) return moduleResolve(found, new URL(parentId), conditions.import).href;
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
    const id = requiredId(require.resolve(specifier));
    return isPath(specifier) ? id : withoutModuleSync(specifier, parentId, id);
  } catch (error) {
    const isMissing = MISSING.has((error as { code?: string }).code ?? "");
    const found =
      isPath(specifier) && isMissing && isTypeScript(parentId) && guess(new URL(specifier, parentId).href);
    if (found) return requiredId(require.resolve(fileURLToPath(found)));
    throw error;
  }
}

function isPath(specifier: string): boolean {
  return /^\.{0,2}\//.test(specifier) || specifier === "." || specifier === "..";
}

/**
 * What older Nodes find where this one would take an ES module that is marked as fit for `require`: the target may
 * be one of those.
 */
function withoutModuleSync(specifier: string, parentId: string, id: string): string {
  if (!id.startsWith("file:") || !isEsModule(fileURLToPath(id))) return id;
  conditions ??= exportConditions();
  try {
    return moduleResolve(specifier, new URL(parentId), conditions.require).href;
  } catch {
    return id;
  }
}

function isEsModule(file: string): boolean {
  const extension = extname(file);
  return extension === ".mjs" || (extension === ".js" && packageScope(file)?.type === "module");
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
function exportConditions(): Record<ImportKind, Set<string>> {
  const own: string[] = [];
  const args = [...process.execArgv, ...(process.env.NODE_OPTIONS ?? "").split(/\s+/)];
  args.forEach((arg, i) => {
    const inline = /^(?:--conditions=|-C=?)(.+)$/.exec(arg)?.[1];
    const value = inline ?? (arg === "--conditions" || arg === "-C" ? args[i + 1] : undefined);
    if (value) own.push(value);
  });
  // The condition belongs to require(esm); where that is off, packages must not be resolved by it.
  const sync = (process.features as { require_module?: boolean }).require_module ? ["module-sync"] : [];
  return {
    import: new Set(["node", "import", "node-addons", ...sync, ...own]),
    require: new Set(["node", "require", "node-addons", ...own]),
  };
}
