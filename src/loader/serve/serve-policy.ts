import { realpathSync, statSync } from "node:fs";
import { dirname, extname, join, relative, resolve, sep } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import type { ServeRules } from "../compile/module-rules.ts";
import type { ImportKind } from "../module-record.ts";
import { isPath, packageOfSpecifier } from "../resolve/module-pattern.ts";
import { isInstalled, packageRoot, packageScope } from "../resolve/package-scope.ts";
import type { Destination } from "../resolve/resolve.ts";
import type { ModuleRequest } from "./module-request.ts";

/** What a context has been sent, and with that what it may ask for. */
export interface Vouched {
  /** Whether it has this module. */
  has(id: string): boolean;
  /** Whether it has the module, or one whose text names it. */
  names(id: string): boolean;
  /** Node's error, where the text of a module that it has names what leads nowhere. */
  failure(request: ModuleRequest): Error | undefined;
  /** Root directories of the packages that its modules belong to. */
  packageRoots(): ReadonlySet<string>;
}

/** What a specifier stands for; throws Node's error when there is no such module. */
export type Resolve = (specifier: string, parentId: string, kind: ImportKind) => Destination;

/** Why a request gets no module; `id` is the module in question where there is one. */
export interface Refusal {
  readonly refused: string;
  readonly id?: string;
  /** What Node itself throws there; the program's own affair, and no attack. */
  readonly error?: { readonly code: string; readonly message: string };
}

const MAX_SPECIFIER_CHARS = 1_000;
const CODE = new Set([".js", ".mjs", ".cjs", ".ts", ".mts", ".cts", ".jsx", ".tsx"]);
const OUTSIDE = "it is outside the packages in use, or hidden";
const ONLY_FILES = "only file: URLs are served";
const NO_URL = "it is no file: URL of this machine";

/**
 * Decides on a request from a child, which may be hostile: for a module computed at run time, or one that lay behind
 * `import()`. Nothing is kept of what it names, and a refusal does not tell whether a file is there. A builtin is not
 * served: the child has it, and only lacked its name.
 */
export function decideRequest(
  request: ModuleRequest,
  context: Vouched,
  rules: ServeRules,
  resolveSpecifier: Resolve,
): Destination | Refusal {
  const { parentId } = request;
  if (!context.has(parentId)) return { refused: "the module that asks was not sent to this context" };
  if (!parentId.startsWith("file:")) return { refused: "the module that asks has no file" };
  const early = specifierRefusal(request, context, rules);
  const failure = context.failure(request);
  if (failure !== undefined && (early !== undefined || ASKED_WRONGLY.has(codeOf(failure))))
    return ownFailure(failure);
  if (early !== undefined) return { refused: early };
  let destination: Destination;
  try {
    destination = lookUp(request, resolveSpecifier);
  } catch (error) {
    if (failure !== undefined) return ownFailure(failure);
    return { refused: mayKnow(request, context, rules) ? `it does not resolve: ${codeOf(error)}` : OUTSIDE };
  }
  if (!("id" in destination)) return destination;
  // Every query would be one more module to keep.
  const id = context.names(destination.id) ? destination.id : destination.id.replace(/[?#][\s\S]*/, "");
  const refused = idRefusal(id, parentId, context, rules);
  return refused === undefined ? { id } : { refused, id };
}

/** Errors that the resolution of a specifier alone does not show. */
const ASKED_WRONGLY = new Set([
  "ERR_IMPORT_ATTRIBUTE_MISSING",
  "ERR_IMPORT_ATTRIBUTE_TYPE_INCOMPATIBLE",
  "ERR_UNKNOWN_FILE_EXTENSION",
]);

/** The text of a module that the context was sent names it: there is nothing to hide. */
function ownFailure(error: Error): Refusal {
  const code = codeOf(error);
  return { refused: `it does not resolve: ${code}`, error: { code, message: error.message } };
}

function codeOf(error: unknown): string {
  return (error as { code?: string }).code ?? "no valid specifier";
}

export function saidSo(rule: string): string {
  return `the program has said ${rule}`;
}

/** Why a module that exists may not be sent, or undefined. `id` is a real path: links are followed. */
export function idRefusal(
  id: string,
  parentId: string | undefined,
  context: Vouched,
  rules: ServeRules,
): string | undefined {
  const isNamed = context.names(id) || rules.isNamed(id);
  if (!isNamed && !id.startsWith("file:")) return ONLY_FILES;
  const file = isNamed ? "" : fileURLToPath(id);
  const isAllowed =
    isNamed || rules.allowed.some((rule) => rule.matches(id) && isWithinReach(file, rule.rootFor(id)));
  // First: what follows would tell whether a file is there.
  const outside = isAllowed ? undefined : outsideRefusal(file, parentId, context);
  if (outside !== undefined) return outside;
  const denial = rules.denial(id);
  if (denial !== undefined) return saidSo(denial);
  if (id.endsWith(".node")) return "native addons do not travel";
  const extension = extname(file);
  const isCode = CODE.has(extension) || (extension === ".json" && (isAllowed || isInstalled(file)));
  return isNamed || isCode ? undefined : "it is not code";
}

/**
 * Why a specifier from a child may not even be looked up, or undefined. Looked up means touching the disk: the answer
 * to a refused request must not tell whether a file is there.
 */
function specifierRefusal(
  { parentId, specifier, kind }: ModuleRequest,
  context: Vouched,
  rules: ServeRules,
): string | undefined {
  if (context.names(specifier)) return undefined;
  if (specifier.length === 0 || specifier.length > MAX_SPECIFIER_CHARS)
    return "the specifier is empty or too long";
  // Control characters, backslashes, outer spaces and escaped dots and slashes serve only to hide another specifier.
  if (/^\s|\s$|[\0-\x1f\x7f\\]|%(?:2e|2f|5c|00)|%(?![\da-f]{2})/i.test(specifier))
    return "the specifier has characters that are not allowed";
  if (!isPath(specifier) && !specifier.startsWith("file:")) {
    if (/^[a-z][a-z0-9+.-]*:/i.test(specifier) && !/^node:/i.test(specifier)) return ONLY_FILES;
    const parts = specifier.replace(/\/$/, "").split("/");
    // Empty parts would make names without end for one file.
    return parts.some((part) => part === ".." || part === "." || part === "")
      ? "it leaves its package"
      : undefined;
  }
  const url = pathUrl({ parentId, specifier, kind });
  if (url?.protocol !== "file:" || url.host !== "") return NO_URL;
  if (context.names(url.href) || rules.isNamed(url.href)) return undefined;
  const file = pathOf(url);
  if (file === undefined) return NO_URL;
  return isAllowedPath(url, file, rules) ? undefined : outsideRefusal(file, parentId, context);
}

/** Resolves with a specifier of which there is only one per file: Node remembers what it is asked to require. */
function lookUp({ parentId, specifier, kind }: ModuleRequest, resolveSpecifier: Resolve): Destination {
  if (kind === "import") return resolveSpecifier(specifier, parentId, kind);
  if (isPath(specifier)) return resolveSpecifier(requiredPath(specifier, parentId), parentId, kind);
  const name = packageOfSpecifier(specifier);
  // What is no package may still be an alias; Node's own look-up for `require` would keep each such name for ever.
  const isKnown = name === undefined || packageDirectory(name, parentId) !== undefined;
  return resolveSpecifier(specifier, parentId, isKnown ? kind : "import");
}

/** Whether the context may know that a specifier does not resolve: it names something in the packages in use. */
function mayKnow({ specifier, parentId }: ModuleRequest, context: Vouched, rules: ServeRules): boolean {
  const name = packageOfSpecifier(specifier);
  if (name === undefined) return true;
  if (rules.allowed.some((rule) => rule.matchesPackage(name))) return true;
  const directory = packageDirectory(name, parentId);
  return directory !== undefined && context.packageRoots().has(realDirectory(directory));
}

/** Before links are followed, and without remembering a directory that a child made up. */
function isAllowedPath(url: URL, file: string, { allowed }: ServeRules): boolean {
  return allowed.some((rule) => {
    if (rule.kind !== "package") return rule.matches(url.href);
    const root = isInstalled(file) ? packageRoot(file) : undefined;
    const name = root?.slice(root.lastIndexOf("node_modules") + 13).replaceAll(sep, "/");
    return name !== undefined && rule.matchesPackage(name);
  });
}

function outsideRefusal(file: string, parentId: string | undefined, context: Vouched): string | undefined {
  const own = parentId === undefined ? undefined : packageRoot(fileURLToPath(parentId));
  if (own !== undefined && isInside(file, own)) return undefined;
  for (const root of context.packageRoots()) if (isInside(file, root)) return undefined;
  return own === undefined && parentId !== undefined ? "the module that asks belongs to no package" : OUTSIDE;
}

/** What a name or a folder allows is not what is hidden in it. A RegExp says itself what it means. */
function isWithinReach(file: string, root: string | undefined): boolean {
  return root === undefined || isInside(file, root);
}

/** Inside, not in a package nested there, and nothing on the way is hidden. */
export function isInside(file: string, root: string): boolean {
  const parts = relative(root, file).split(sep);
  return !parts.some((part) => part === "" || part.startsWith(".") || part === "node_modules");
}

/** What a path means; `require` knows neither escapes nor queries, and no URLs. */
function pathUrl({ parentId, specifier, kind }: ModuleRequest): URL | undefined {
  if (kind === "import") return URL.canParse(specifier, parentId) ? new URL(specifier, parentId) : undefined;
  return isPath(specifier) ? pathToFileURL(requiredPath(specifier, parentId)) : undefined;
}

function requiredPath(specifier: string, parentId: string): string {
  const path = resolve(dirname(fileURLToPath(parentId)), specifier);
  // It says that a directory is meant.
  return /(?:^|\/)\.{0,2}$/.test(specifier) && path !== sep ? path + sep : path;
}

/** Where Node would find a package. */
function packageDirectory(name: string, parentId: string): string | undefined {
  const own = packageScope(fileURLToPath(parentId));
  if (own?.name === name) return own.root;
  for (let at = dirname(fileURLToPath(parentId)); ; at = dirname(at)) {
    const directory = join(at, "node_modules", name);
    if (statSync(directory, { throwIfNoEntry: false })?.isDirectory()) return directory;
    if (dirname(at) === at) return undefined;
  }
}

function realDirectory(directory: string): string {
  try {
    return realpathSync(directory);
  } catch {
    return directory;
  }
}

/** Escapes that are no UTF-8 make no path. */
function pathOf(url: URL): string | undefined {
  try {
    return fileURLToPath(url);
  } catch {
    return undefined;
  }
}
