import { extname, relative, sep } from "node:path";
import { fileURLToPath } from "node:url";
import { isInstalled, packageScope } from "./package-scope.ts";

/** What the graph of sent modules already vouches for. */
export interface Vouched {
  /** Ids that a served module names in its text. */
  readonly ids: ReadonlySet<string>;
  /** Root directories of the packages that served modules belong to. */
  readonly packageRoots: ReadonlySet<string>;
}

const MAX_SPECIFIER_CHARS = 1_000;
const CODE = new Set([".js", ".mjs", ".cjs", ".ts", ".mts", ".cts", ".jsx", ".tsx"]);

/**
 * Why a specifier from a child may not even be looked up, or undefined. Looked up means touching the disk: the answer
 * to a refused request must not tell whether a file is there.
 */
export function specifierRefusal(specifier: string, parentId: string, vouched: Vouched): string | undefined {
  if (vouched.ids.has(specifier)) return undefined;
  if (specifier.length === 0 || specifier.length > MAX_SPECIFIER_CHARS)
    return "the specifier is empty or too long";
  // Control characters, backslashes, outer spaces and escaped dots and slashes serve only to hide another specifier.
  if (/^\s|\s$|[\0-\x1f\x7f\\]|%(?:2e|2f|5c|00)|%(?![\da-f]{2})/i.test(specifier))
    return "the specifier has characters that are not allowed";
  const isPath = /^\.{0,2}\//.test(specifier) || specifier === "." || specifier === "..";
  if (!isPath && !specifier.startsWith("file:")) {
    if (/^(?!node:)[a-z][a-z0-9+.-]*:/i.test(specifier)) return "only file: URLs are served";
    return specifier.split("/").some((part) => part === ".." || part === ".")
      ? "it leaves its package"
      : undefined;
  }
  const url = URL.canParse(specifier, parentId) ? new URL(specifier, parentId) : undefined;
  if (url?.protocol !== "file:" || url.host !== "") return "it is no file: URL of this machine";
  if (vouched.ids.has(url.href)) return undefined;
  const file = pathOf(url);
  return file === undefined ? "it is no file: URL of this machine" : outsideRefusal(file, parentId, vouched);
}

/** Why the file a specifier resolved to may not be sent, or undefined. `id` is a real path: links are followed. */
export function fileRefusal(id: string, parentId: string, vouched: Vouched): string | undefined {
  if (vouched.ids.has(id) && id.startsWith("data:")) return undefined;
  const file = fileURLToPath(id);
  const extension = extname(file);
  if (extension === ".node") return "native addons do not travel";
  if (vouched.ids.has(id)) return undefined;
  const isCode = CODE.has(extension) || (extension === ".json" && isInstalled(file));
  return isCode ? outsideRefusal(file, parentId, vouched) : "it is not code";
}

/** The directory whose files belong together; nested package.json files of an installed package do not split it. */
export function packageRoot(file: string): string | undefined {
  if (!isInstalled(file)) return packageScope(file)?.root;
  const marker = `${sep}node_modules${sep}`;
  const start = file.lastIndexOf(marker) + marker.length;
  const parts = file.slice(start).split(sep);
  const depth = parts[0]?.startsWith("@") ? 2 : 1;
  return parts.length > depth ? file.slice(0, start) + parts.slice(0, depth).join(sep) : undefined;
}

/** Escapes that are no UTF-8 make no path. */
function pathOf(url: URL): string | undefined {
  try {
    return fileURLToPath(url);
  } catch {
    return undefined;
  }
}

function outsideRefusal(file: string, parentId: string, vouched: Vouched): string | undefined {
  const own = packageRoot(fileURLToPath(parentId));
  const root = [own, ...vouched.packageRoots].find((one) => one !== undefined && isInside(file, one));
  if (root !== undefined) return undefined;
  return own === undefined
    ? "the module that asks belongs to no package"
    : "it is outside the packages in use, or hidden";
}

/** Inside, not in a package nested there, and nothing on the way is hidden. */
export function isInside(file: string, root: string): boolean {
  const parts = relative(root, file).split(sep);
  return !parts.some((part) => part === "" || part.startsWith(".") || part === "node_modules");
}
