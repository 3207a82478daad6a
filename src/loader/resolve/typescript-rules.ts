import { extname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { isFile } from "../is-file.ts";
import { ownRequire } from "../own-require.ts";
import { isInstalled } from "./package-scope.ts";
import { allowsJavaScript, mappedPaths } from "./tsconfig.ts";

/** The extensions that a written extension may stand for, in the order in which tsx and the compiler try them. */
const WRITTEN_FOR: Readonly<Record<string, readonly string[]>> = {
  ".js": [".ts", ".tsx", ".js", ".jsx"],
  ".jsx": [".tsx", ".ts", ".jsx", ".js"],
  ".mjs": [".mts"],
  ".cjs": [".cts"],
};
const UNWRITTEN = [".ts", ".tsx", ".jsx", ".js", ".json"];

/** Whether this program runs under a loader for TypeScript, such as tsx. Node itself never handles `.tsx`. */
export function runsUnderLoader(): boolean {
  return ".tsx" in ownRequire().extensions;
}

/**
 * Whether this program's loader runs TypeScript of a package without a type as CommonJS. ts-node does so too,
 * although it looks for modules as Node does.
 */
export function mayCompileToCommonJs(): boolean {
  return runsUnderLoader() || Symbol.for("ts-node.register.instance") in process;
}

/** Whether a module is written in TypeScript, by its extension. */
export function isTypeScript(id: string): boolean {
  return id.startsWith("file:") && /\.(?:[cm]?ts|tsx)$/.test(id.replace(/[?#][\s\S]*/, ""));
}

/** Whether a specifier is a path and not a name. */
export function isPath(specifier: string): boolean {
  return /^(?:\.{0,2}\/|file:)/.test(specifier) || specifier === "." || specifier === "..";
}

/**
 * Resolves a specifier before Node's rules are tried, but only under a loader. A program that Node runs alone has
 * found its modules by Node's rules, and a context must find the same ones. Returns a file: URL, or undefined.
 */
export function typeScriptFirst(specifier: string, parentId: string): string | undefined {
  if (!runsUnderLoader() || !parentId.startsWith("file:")) return undefined;
  if (!isPath(specifier)) return mappedFile(specifier, parentId);
  const parent = fileURLToPath(parentId);
  return isTypeScript(parentId) || allowsJavaScript(parent) ? fileFor(specifier, parentId) : undefined;
}

/**
 * Resolves a specifier for which Node's rules found nothing, or found `missing`, the URL of a missing file.
 */
export function typeScriptLast(specifier: string, parentId: string, missing?: string): string | undefined {
  if (!isTypeScript(parentId) && !(runsUnderLoader() && parentId.startsWith("file:"))) return undefined;
  if (isPath(specifier)) return fileFor(specifier, parentId);
  return (missing && fileFor(missing, parentId)) ?? mappedFile(specifier, parentId);
}

function mappedFile(specifier: string, parentId: string): string | undefined {
  const parent = fileURLToPath(parentId);
  if (isInstalled(parent)) return undefined;
  for (const path of mappedPaths(specifier, parent)) {
    const found = firstFile(path);
    if (found !== undefined) return pathToFileURL(found).href;
  }
  return undefined;
}

function fileFor(specifier: string, parentId: string): string | undefined {
  const url = new URL(specifier, parentId);
  if (url.protocol !== "file:") return undefined;
  const found = firstFile(fileURLToPath(url));
  return found && pathToFileURL(found).href + url.search + url.hash;
}

function firstFile(path: string): string | undefined {
  const isDirectory = /[\\/]$/.test(path);
  return (isDirectory ? candidatesIn(path) : candidatesFor(path)).find(
    // Declaration files hold no code, but `paths` often name them.
    (candidate) => !/\.d\.[cm]?ts$/.test(candidate) && isFile(candidate),
  );
}

function candidatesFor(path: string): string[] {
  const extension = extname(path);
  const stem = path.slice(0, path.length - extension.length);
  const written = (WRITTEN_FOR[extension] ?? []).map((other) => stem + other);
  const unwritten = UNWRITTEN.map((other) => path + other);
  return [...written, path, ...unwritten, ...candidatesIn(path)];
}

function candidatesIn(directory: string): string[] {
  return UNWRITTEN.map((other) => join(directory, `index${other}`));
}
