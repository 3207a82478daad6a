import { createRequire, isBuiltin } from "node:module";
import { dirname, extname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { moduleResolve } from "import-meta-resolve";
import { LIBRARY_FILE, libraryUrl } from "../../library.ts";
import { isFile } from "../is-file.ts";
import type { ImportKind } from "../module-record.ts";
import { parseDataUrl } from "./data-url.ts";
import { declaredFormat, detectedFormat } from "./module-format.ts";
import { mappedImport } from "./package-imports.ts";
import { packageScope } from "./package-scope.ts";
import { readSourceNow } from "./source-text.ts";
import {
  isPath,
  isTypeScript,
  runsUnderLoader,
  typeScriptFirst,
  typeScriptLast,
} from "./typescript-rules.ts";

/** The result of a resolution: a file that may travel, or a builtin that every context has. */
export type Resolution = { readonly id: string } | { readonly builtin: string };

/** The same, after the program's own rules have been applied. */
export type Destination = Resolution | { readonly provided: string };

/**
 * The ids of this library, in whatever form it runs. Every context has its own, so the library never travels.
 * Inside a bundle, it has no file.
 */
const OWN_INDEX =
  packageScope(fileURLToPath(LIBRARY_FILE))?.name === "mitogen"
    ? ["index.js", "index.ts", "require.cjs"].map(libraryUrl)
    : [];

const MISSING = new Set(["ERR_MODULE_NOT_FOUND", "ERR_UNSUPPORTED_DIR_IMPORT", "MODULE_NOT_FOUND"]);

const requires = new Map<string, NodeJS.Require>();
let conditions: Record<ImportKind, Set<string>> | undefined;

/**
 * Resolves as the running Node does, with export conditions for the kind of import and with links followed.
 * Under a loader such as tsx, resolves as the loader does. If Node finds nothing and the parent is
 * TypeScript, looks for files as tsx would: `./x.js` written for `./x.ts`, no extension, a directory, `paths`
 * of its tsconfig.json. Throws Node's own error if there is no such module.
 */
export function resolveModule(specifier: string, parentId: string, kind: ImportKind): Resolution {
  if (specifier === "mitogen") return { builtin: "mitogen" };
  if (isBuiltin(specifier))
    return { builtin: specifier.startsWith("node:") ? specifier : `node:${specifier}` };
  const id = kind === "import" ? resolveImport(specifier, parentId) : resolveRequire(specifier, parentId);
  if (id.startsWith("node:")) return { builtin: id };
  return OWN_INDEX.includes(id) ? { builtin: "mitogen" } : { id };
}

function resolveImport(specifier: string, parentId: string): string {
  const byNode = (one: string) => oneOfCommonJs(resolveByNode(one, parentId, "import"));
  const first = typeScriptFirst(specifier, parentId);
  if (first !== undefined) return byNode(first);
  try {
    const id = byNode(specifier);
    if (id.startsWith("data:")) parseDataUrl(id);
    return id;
  } catch (error) {
    const { code = "", url } = error as { code?: string; url?: string };
    const isMissing = MISSING.has(code);
    const missing = isMissing && url?.startsWith("file:") ? url : undefined;
    const last = typeScriptLast(specifier, parentId, missing);
    if (last !== undefined) return byNode(last);
    const asked = isMissing ? askLoader(specifier, parentId) : undefined;
    if (asked !== undefined) return asked;
    throw error;
  }
}

function resolveByNode(specifier: string, parentId: string, kind: ImportKind): string {
  conditions ??= exportConditions();
  const mapped = mappedImport(specifier, parentId, conditions[kind]);
  const [name, base] = mapped === undefined ? [specifier, parentId] : [mapped.target, mapped.packageJson];
  return moduleResolve(name, new URL(base), conditions[kind]).href;
}

/** Removes a query from the id of CommonJS. As in Node, queries make instances of ES modules, but not of CommonJS. */
function oneOfCommonJs(id: string): string {
  if (!id.startsWith("file:") || !/[?#]/.test(id)) return id;
  const file = fileURLToPath(id);
  const format =
    declaredFormat(id) ?? (extname(file) === ".js" ? detectedFormat(readSourceNow(file)) : undefined);
  return format === "commonjs" && !file.endsWith(".json") ? pathToFileURL(file).href : id;
}

function resolveRequire(specifier: string, parentId: string): string {
  const require = requireOf(parentId);
  const first = typeScriptFirst(specifier, parentId);
  if (first !== undefined) return requiredId(require.resolve(fileURLToPath(first)));
  try {
    const id = requiredId(require.resolve(specifier));
    return isPath(specifier) ? id : withoutModuleSync(specifier, parentId, id);
  } catch (error) {
    const last = typeScriptLast(specifier, parentId);
    if (last !== undefined) return requiredId(require.resolve(fileURLToPath(last)));
    throw withParent(error as Error, parentId);
  }
}

/** Names the parent in Node's message, in place of the file of {@link noopOf}. */
function withParent(error: Error, parentId: string): Error {
  error.message = error.message.replaceAll(noopOf(parentId), fileURLToPath(parentId));
  return error;
}

/**
 * Returns what older Nodes find if this Node would take an ES module that is marked as fit for `require`. The
 * target may be such a Node.
 */
function withoutModuleSync(specifier: string, parentId: string, id: string): string {
  if (!id.startsWith("file:") || !/\.m?js$/.test(id) || declaredFormat(id) !== "module") return id;
  try {
    return resolveByNode(specifier, parentId, "require");
  } catch {
    return id;
  }
}

/**
 * Asks the loader through the program's own `require`, because the loader may know more than its
 * tsconfig.json says.
 */
function askLoader(specifier: string, parentId: string): string | undefined {
  if (!runsUnderLoader() || !parentId.startsWith("file:")) return undefined;
  try {
    return requiredId(requireOf(parentId).resolve(specifier));
  } catch {
    return undefined;
  }
}

function requireOf(parentId: string): NodeJS.Require {
  const noop = noopOf(parentId);
  let require = requires.get(noop);
  if (require === undefined) {
    require = createRequire(noop);
    requires.set(noop, require);
  }
  return require;
}

/** Returns a file name that stands for all files of the parent's directory. Loaders look at its extension. */
function noopOf(parentId: string): string {
  return join(dirname(fileURLToPath(parentId)), isTypeScript(parentId) ? "noop.ts" : "noop.js");
}

function requiredId(resolved: string): string {
  if (isBuiltin(resolved)) return resolved.startsWith("node:") ? resolved : `node:${resolved}`;
  // tsx appends queries to the paths that it returns.
  const path = resolved.includes("?") && !isFile(resolved) ? resolved.replace(/\?[\s\S]*/, "") : resolved;
  return pathToFileURL(path).href;
}

/** Returns Node's default conditions, and those that this process was started with. */
function exportConditions(): Record<ImportKind, Set<string>> {
  const own: string[] = [];
  const args = [...process.execArgv, ...(process.env.NODE_OPTIONS ?? "").split(/\s+/)];
  args.forEach((arg, i) => {
    const inline = /^(?:--conditions=|-C=?)(.+)$/.exec(arg)?.[1];
    const value = inline ?? (arg === "--conditions" || arg === "-C" ? args[i + 1] : undefined);
    if (value) own.push(value);
  });
  // Node knows this condition only if it can require ES modules.
  const sync = (process.features as { require_module?: boolean }).require_module ? ["module-sync"] : [];
  return {
    import: new Set(["node", "import", "node-addons", ...sync, ...own]),
    require: new Set(["node", "require", "node-addons", ...own]),
  };
}
