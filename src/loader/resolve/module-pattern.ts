import { realpathSync } from "node:fs";
import { sep } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { inspect } from "node:util";
import { misuse } from "../../options/options.ts";
import { isBuiltin } from "../builtins.ts";
import { isInstalled, packageRoot, packageScope } from "./package-scope.ts";

/**
 * The modules that a rule is about. The `file:` URL of a module means this module. A `file:` URL that ends in a slash
 * means everything below it. A name means packages: `"lodash"`, `"@scope/name"`, `"@scope/*"`. A RegExp is tested
 * against ids.
 */
export type ModulePattern = string | URL | RegExp;

type Kind = "id" | "prefix" | "package" | "regexp";

const PACKAGE = /^(?:@[a-z0-9~._-]+\/(?:\*|[a-z0-9~._-]+)|[a-z0-9~_-][a-z0-9~._-]*)$/i;

/** A checked pattern. */
export class ModuleMatcher {
  readonly kind: Kind;
  /** The text for readers: `"lodash"`, `/\.test\.ts$/`. */
  readonly text: string;
  readonly #pattern: string;
  readonly #regexp: RegExp | undefined;

  /** `what` names the call in error messages. Throws a TypeError if the argument is no pattern. */
  constructor(pattern: ModulePattern, what: string) {
    if (pattern instanceof RegExp) {
      this.kind = "regexp";
      this.text = String(pattern);
      this.#pattern = "";
      // A copy without `g` and `y`, which would remember the last match.
      this.#regexp = new RegExp(pattern.source, pattern.flags.replace(/[gy]/g, ""));
      return;
    }
    const url = patternUrl(pattern);
    const text = url?.href ?? pattern;
    if (typeof text !== "string" || (url === undefined && (isBuiltin(text) || !PACKAGE.test(text)))) {
      throw misuse(
        "ERR_INVALID_ARG_VALUE",
        `Cannot ${what} ${inspect(pattern)}: it must be a package's name ("lodash", "@scope/*"), a file: URL (with a slash at its end for all below it) or a RegExp${pathCure(pattern)}`,
      );
    }
    this.kind = url === undefined ? "package" : text.endsWith("/") ? "prefix" : "id";
    this.text = JSON.stringify(text);
    this.#pattern = text;
  }

  /** Whether the pattern matches an existing module. */
  matches(id: string): boolean {
    switch (this.kind) {
      case "id":
        return id === this.#pattern;
      case "prefix":
        return id.startsWith(this.#pattern);
      case "regexp":
        return this.#regexp?.test(id) === true;
      case "package":
        return packageNames(id).some((name) => this.matchesPackage(name));
    }
  }

  /** Whether the pattern matches a package of this name. A RegExp is tested against the name. */
  matchesPackage(name: string): boolean {
    if (this.kind === "regexp") return this.#regexp?.test(name) === true;
    if (this.kind !== "package") return false;
    return this.#pattern.endsWith("/*")
      ? name.startsWith(this.#pattern.slice(0, -1))
      : name === this.#pattern;
  }

  /** Returns the directory that the pattern means for a module that it matches. Undefined if it means none. */
  rootFor(id: string): string | undefined {
    if (this.kind === "prefix") return fileURLToPath(this.#pattern);
    return this.kind === "package" ? packageRoot(fileURLToPath(id)) : undefined;
  }
}

/** Returns the package that a bare specifier names: `lodash` of `lodash/fp`. Undefined for paths, URLs, `#imports`. */
export function packageOfSpecifier(specifier: string): string | undefined {
  if (isPath(specifier) || /^#|^[a-z][a-z0-9+.-]*:/i.test(specifier)) return undefined;
  const [first, second] = specifier.split("/");
  return first?.startsWith("@") ? `${first}/${second ?? ""}` : first;
}

export function isPath(specifier: string): boolean {
  return /^\.{0,2}\//.test(specifier) || specifier === "." || specifier === "..";
}

/** Returns the names of a module's package: that of its folder, by which others import it, and its own. */
export function packageNames(id: string): string[] {
  if (!id.startsWith("file:")) return [];
  const file = fileURLToPath(id);
  const root = packageRoot(file);
  if (root === undefined) return [];
  const names = [packageScope(`${root}${sep}package.json`)?.name];
  if (isInstalled(file)) names.push(root.slice(root.lastIndexOf("node_modules") + 13).replaceAll(sep, "/"));
  return names.filter((name) => name !== undefined);
}

/** Returns the URL of a file in the form of ids, with links followed. Returns that of a missing file unchanged. */
export function realUrl(url: URL): URL {
  try {
    const real = pathToFileURL(realpathSync(fileURLToPath(url)) + (url.pathname.endsWith("/") ? sep : ""));
    return new URL(url.search + url.hash, real);
  } catch {
    return url;
  }
}

/** Returns the id of a module with links followed. Returns the ids of other things than files unchanged. */
export function realId(id: string): string {
  return id.startsWith("file:") && URL.canParse(id) ? realUrl(new URL(id)).href : id;
}

function patternUrl(pattern: string | URL): URL | undefined {
  const isUrl = pattern instanceof URL || (typeof pattern === "string" && pattern.startsWith("file:"));
  if (!isUrl || !URL.canParse(String(pattern))) return undefined;
  const url = new URL(pattern);
  return url.protocol === "file:" ? realUrl(url) : undefined;
}

function pathCure(pattern: unknown): string {
  return typeof pattern === "string" && /^\.{0,2}\//.test(pattern)
    ? `; for a path use new URL(${JSON.stringify(pattern)}, import.meta.url)`
    : "";
}
