import { fileURLToPath, pathToFileURL } from "node:url";
import { packageScope } from "./package-scope.ts";

/** What a package maps a specifier to: another specifier, seen from its package.json. */
export interface MappedImport {
  readonly target: string;
  readonly packageJson: string;
}

/** Segments that would lead out of the folder that a pattern names. Node refuses them, escaped too. */
const LEADS_OUT = /(?:^|[\\/]|%2f|%5c)(?:(?:\.|%2e){1,2}|node_modules)(?:[\\/]|%2f|%5c|$)/i;

/**
 * Maps a specifier such as `#lib/a.js` by the `imports` of the parent's package, where import-meta-resolve differs
 * from Node: it ignores patterns with something after the star (`#lib/*.js`) and names that begin with `#/`. Returns
 * undefined for all others. Throws Node's error if the package maps the name to nothing.
 */
export function mappedImport(
  specifier: string,
  parentId: string,
  conditions: ReadonlySet<string>,
): MappedImport | undefined {
  if (!specifier.startsWith("#") || !parentId.startsWith("file:")) return undefined;
  const { imports = {}, root = "" } = packageScope(fileURLToPath(parentId)) ?? {};
  const key =
    Object.hasOwn(imports, specifier) && !specifier.includes("*") ? specifier : bestKey(specifier, imports);
  if (key === undefined || !(specifier.startsWith("#/") || /\*./.test(key))) return undefined;
  const [prefix = "", suffix = ""] = key.split("*");
  const star = key === specifier ? "" : specifier.slice(prefix.length, specifier.length - suffix.length);
  const packageJson = `${root}/package.json`;
  const from = `package ${packageJson} imported from ${fileURLToPath(parentId)}`;
  if (key !== specifier && LEADS_OUT.test(star)) {
    const text = `Invalid module "${specifier}" request is not a valid match in pattern "${key}" for ${from}`;
    throw Object.assign(new TypeError(text), { code: "ERR_INVALID_MODULE_SPECIFIER" });
  }
  const target = targetOf(imports[key], conditions);
  if (target === undefined) {
    const text = `Package import specifier "${specifier}" is not defined in ${from}`;
    throw Object.assign(new TypeError(text), { code: "ERR_PACKAGE_IMPORT_NOT_DEFINED" });
  }
  return { target: target.replaceAll("*", () => star), packageJson: pathToFileURL(packageJson).href };
}

/** Returns the most specific pattern: the one with the longest text before its star, then the longest one. */
function bestKey(specifier: string, imports: Readonly<Record<string, unknown>>): string | undefined {
  let best: string | undefined;
  for (const key of Object.keys(imports)) {
    const [prefix = "", suffix, more] = key.split("*");
    if (suffix === undefined || more !== undefined || specifier.length < key.length) continue;
    if (!specifier.startsWith(prefix) || !specifier.endsWith(suffix)) continue;
    const ahead = best === undefined ? 1 : prefix.length - best.indexOf("*");
    if (ahead > 0 || (ahead === 0 && key.length > (best ?? "").length)) best = key;
  }
  return best;
}

/** Returns the first target that the conditions allow. Undefined if there is none, or `null` forbids the name. */
function targetOf(value: unknown, conditions: ReadonlySet<string>): string | undefined {
  const found = chosen(value, conditions);
  return typeof found === "string" ? found : undefined;
}

function chosen(value: unknown, conditions: ReadonlySet<string>): string | null | undefined {
  if (typeof value === "string") return isTarget(value) ? value : undefined;
  if (typeof value !== "object" || value === null) return value === null ? null : undefined;
  const isList = Array.isArray(value);
  for (const [condition, inner] of Object.entries(value)) {
    if (!isList && condition !== "default" && !conditions.has(condition)) continue;
    const found = chosen(inner, conditions);
    // `null` forbids the name, but in a list only if nothing else follows.
    if (typeof found === "string" || (found === null && !isList)) return found;
  }
  return undefined;
}

/** Whether a target is a path inside the package, or the name of another package. */
function isTarget(target: string): boolean {
  if (target.startsWith("./")) return !LEADS_OUT.test(target.slice(2));
  return !target.startsWith("/") && !target.startsWith("../") && !URL.canParse(target);
}
