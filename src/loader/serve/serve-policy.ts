import { realpathSync, statSync } from "node:fs";
import { dirname, extname, join, relative, resolve, sep } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import type { ServeRules } from "../compile/module-rules.ts";
import type { ImportKind } from "../module-record.ts";
import { isCode } from "../resolve/module-format.ts";
import { isPath, packageOfSpecifier } from "../resolve/module-pattern.ts";
import { isInstalled, packageRoot, packageScope } from "../resolve/package-scope.ts";
import type { Destination } from "../resolve/resolve.ts";
import type { ModuleRequest } from "./module-request.ts";

/** What a context has been sent. This decides which modules it may ask for. */
export interface Vouched {
  /** Whether the context has this module. */
  has(id: string): boolean;
  /** Whether the context has the module, or one whose text names it. */
  names(id: string): boolean;
  /** Node's error, if a module that the context has names a specifier that leads nowhere. */
  failure(request: ModuleRequest): Error | undefined;
  /** The root directories of the packages of its modules. */
  packageRoots(): ReadonlySet<string>;
}

/** Resolves a specifier. Throws Node's error if there is no such module. */
export type Resolve = (specifier: string, parentId: string, kind: ImportKind) => Destination;

/** Why a request is refused. `id` is the module in question, if there is one. */
export interface Refusal {
  readonly refused: string;
  readonly id?: string;
  /**
   * The error that Node itself would throw. It concerns the program's own modules, so it is no sign of an
   * attack.
   */
  readonly error?: { readonly code: string; readonly message: string };
}

const MAX_SPECIFIER_CHARS = 1_000;
const OUTSIDE = "it is outside the packages in use, or hidden";
const ONLY_FILES = "only file: URLs are served";
const NO_URL = "it is not a file: URL of this machine";

/**
 * Decides on a request from a child, which may be hostile. An honest child asks for a specifier that it has
 * computed, or for a module behind `import()`. Nothing that the request names is kept, and a refusal does not
 * reveal whether a file exists. A builtin is not served: the child has it, and lacked only its name.
 */
export function decideRequest(
  request: ModuleRequest,
  context: Vouched,
  rules: ServeRules,
  resolveSpecifier: Resolve,
): Destination | Refusal {
  const { parentId } = request;
  if (!context.has(parentId)) return { refused: "the requesting module was not sent to this context" };
  if (!parentId.startsWith("file:")) return { refused: "the requesting module has no file" };
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
  // A query that no module names is removed, because every query would be one more module to keep.
  const id = context.names(destination.id) ? destination.id : destination.id.replace(/[?#][\s\S]*/, "");
  const refused = idRefusal(id, parentId, context, rules);
  return refused === undefined ? { id } : { refused, id };
}

/** Errors that do not appear when a specifier is only resolved. */
const ASKED_WRONGLY = new Set([
  "ERR_IMPORT_ATTRIBUTE_MISSING",
  "ERR_IMPORT_ATTRIBUTE_TYPE_INCOMPATIBLE",
  "ERR_UNKNOWN_FILE_EXTENSION",
]);

/** Passes Node's error on. A module that the context was sent names the specifier, so there is nothing to hide. */
function ownFailure(error: Error): Refusal {
  const code = codeOf(error);
  return { refused: `it does not resolve: ${code}`, error: { code, message: error.message } };
}

function codeOf(error: unknown): string {
  return (error as { code?: string }).code ?? "no valid specifier";
}

export function saidSo(rule: string): string {
  return `the program's rule ${rule} forbids it`;
}

/** Returns why an existing module may not be sent. Undefined if it may. In `id`, links have been followed. */
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
  // Checked first, because the later checks would reveal whether a file exists.
  const outside = isAllowed ? undefined : outsideRefusal(file, parentId, context);
  if (outside !== undefined) return outside;
  const denial = rules.denial(id);
  if (denial !== undefined) return saidSo(denial);
  if (id.endsWith(".node")) return "native addons do not travel";
  const isServed = isNamed || isCode(file) || (isAllowed && extname(file) === ".json");
  return isServed ? undefined : "it is not code";
}

/**
 * Returns why a specifier from a child may not even be looked up. Undefined if it may. A look-up touches the disk,
 * and the answer to a refused request must not reveal whether a file exists.
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
    // Empty parts would give one file any number of names.
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

/**
 * Resolves a specifier in a normal form, of which each file has only one, because Node remembers every specifier
 * that it resolves for `require`.
 */
function lookUp({ parentId, specifier, kind }: ModuleRequest, resolveSpecifier: Resolve): Destination {
  if (kind === "import") return resolveSpecifier(specifier, parentId, kind);
  if (isPath(specifier)) return resolveSpecifier(requiredPath(specifier, parentId), parentId, kind);
  const name = packageOfSpecifier(specifier);
  // A name without a package may still be an alias. Node's own look-up for `require` would keep each such
  // name for ever.
  const isKnown = name === undefined || packageDirectory(name, parentId) !== undefined;
  return resolveSpecifier(specifier, parentId, isKnown ? kind : "import");
}

/**
 * Whether the context may learn that a specifier does not resolve: it must name something in a package in
 * use.
 */
function mayKnow({ specifier, parentId }: ModuleRequest, context: Vouched, rules: ServeRules): boolean {
  const name = packageOfSpecifier(specifier);
  if (name === undefined) return true;
  if (rules.allowed.some((rule) => rule.matchesPackage(name))) return true;
  const directory = packageDirectory(name, parentId);
  return directory !== undefined && context.packageRoots().has(realDirectory(directory));
}

/**
 * Whether a rule allows the path. Runs before links are followed, and does not remember directories that a
 * child made up.
 */
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
  return own === undefined && parentId !== undefined
    ? "the requesting module belongs to no package"
    : OUTSIDE;
}

/** Whether an allowed file is not hidden in the package or folder that the rule names. A RegExp decides for itself. */
function isWithinReach(file: string, root: string | undefined): boolean {
  return root === undefined || isInside(file, root);
}

/** Whether the file is inside the root, not in a package nested there, and nothing on the way is hidden. */
export function isInside(file: string, root: string): boolean {
  const parts = relative(root, file).split(sep);
  return !parts.some((part) => part === "" || part.startsWith(".") || part === "node_modules");
}

/** Returns the URL that a path means. `require` knows no escapes, no queries and no URLs. */
function pathUrl({ parentId, specifier, kind }: ModuleRequest): URL | undefined {
  if (kind === "import") return URL.canParse(specifier, parentId) ? new URL(specifier, parentId) : undefined;
  return isPath(specifier) ? pathToFileURL(requiredPath(specifier, parentId)) : undefined;
}

function requiredPath(specifier: string, parentId: string): string {
  const path = resolve(dirname(fileURLToPath(parentId)), specifier);
  // The trailing slash or dots say that a directory is meant.
  return /(?:^|\/)\.{0,2}$/.test(specifier) && path !== sep ? path + sep : path;
}

/** The directory in which Node would find a package. */
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

/** Returns the path of a file: URL. Undefined for escapes that are not UTF-8. */
function pathOf(url: URL): string | undefined {
  try {
    return fileURLToPath(url);
  } catch {
    return undefined;
  }
}
