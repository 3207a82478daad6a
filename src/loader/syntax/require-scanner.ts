/** A literal `require("x")`, `require.resolve("x")` or `import("x")`. */
export interface ScannedRequire {
  readonly specifier: string;
  readonly kind: "require" | "import";
  /** Whether the module is only looked up: `require.resolve("x")`. */
  readonly isLookUp: boolean;
  /** Whether the module may work without the other one: the call is in a `try` block, or may be no `require`. */
  readonly isOptional: boolean;
}

/** After these words, a slash begins a regular expression and is not a division. */
const BEFORE_EXPRESSION = new Set(
  "return typeof case do else in instanceof new void delete throw yield await of".split(" "),
);

/**
 * Finds the calls in one pass without parsing: skips comments, strings, templates and regular expressions.
 * May take other text for a `require`. Its specifier then does not resolve, or its module is sent in vain.
 */
export function scanRequires(source: string): ScannedRequire[] {
  if (!source.includes("require") && !source.includes("import")) return [];
  return new Scanner(source).scan();
}

/** Returns the names by which a text knows `createRequire`. */
function creatorsIn(source: string): ReadonlySet<string> {
  if (!source.includes("createRequire")) return new Set();
  const aliases = [...source.matchAll(/\bcreateRequire\s*(?:\bas\s|:)\s*([\w$]+)/g)];
  return new Set(["createRequire", ...aliases.map(([, alias = ""]) => alias)]);
}

/** Returns the names of the functions that a text uses as `require`: those that a creator's result is assigned to. */
function requiresIn(source: string, creators: ReadonlySet<string>): ReadonlySet<string> {
  const names = new Set(["require"]);
  for (const creator of creators) {
    for (let at = source.indexOf(creator); at >= 0; at = source.indexOf(creator, at + creator.length)) {
      if (isWordPart(source.charCodeAt(at - 1)) || endAt(CALL, source, at + creator.length) < 0) continue;
      const name = assignedIn(source.slice(Math.max(0, at - MAX_ASSIGNMENT), at));
      if (name !== "") names.add(name);
    }
  }
  return names;
}

/** Returns the other names that a text gives `require`: `const r = require`. */
function aliasesIn(source: string): ReadonlySet<string> {
  const names = new Set<string>();
  for (let at = source.indexOf(REQUIRE); at >= 0; at = source.indexOf(REQUIRE, at + REQUIRE.length)) {
    if (isWordPart(source.charCodeAt(at - 1)) || endAt(END_OF_VALUE, source, at + REQUIRE.length) < 0)
      continue;
    const name = assignedIn(source.slice(Math.max(0, at - MAX_ASSIGNMENT), at));
    if (name !== "") names.add(name);
  }
  return names;
}

/** Returns the name in a text that ends with `name =` or `name = module.`; empty if it does not end so. */
function assignedIn(text: string): string {
  let end = text.trimEnd();
  if (end.endsWith(".")) {
    const member = end.slice(0, -1).trimEnd();
    end = member.slice(0, member.length - lastWord(member).length).trimEnd();
  }
  return end.endsWith("=") ? lastWord(end.slice(0, -1).trimEnd()) : "";
}

function lastWord(text: string): string {
  let start = text.length;
  while (start > 0 && isWordPart(text.charCodeAt(start - 1))) start--;
  return text.slice(start);
}

class Scanner {
  readonly #source: string;
  readonly #creators: ReadonlySet<string>;
  readonly #requires: ReadonlySet<string>;
  readonly #aliases: ReadonlySet<string>;
  readonly #found: ScannedRequire[] = [];
  /** The kind of each open brace: a `try` block, a template's `${`, or any other. */
  readonly #braces: ("try" | "template" | "other")[] = [];
  #tries = 0;
  #at = 0;
  /** The previous word or character, without white space and comments. */
  #previous = "";

  constructor(source: string) {
    this.#source = source;
    this.#creators = creatorsIn(source);
    this.#requires = requiresIn(source, this.#creators);
    this.#aliases = aliasesIn(source);
  }

  scan(): ScannedRequire[] {
    if (this.#source.startsWith("#!")) this.#skipLine();
    while (this.#at < this.#source.length) this.#step();
    return this.#found;
  }

  #step(): void {
    const source = this.#source;
    const char = source[this.#at] as string;
    if (char <= " ") this.#at++;
    else if (char === '"' || char === "'") this.#skipString(char);
    else if (char === "`") this.#skipTemplate();
    else if (char === "/" && source[this.#at + 1] === "/") this.#skipLine();
    else if (char === "/" && source[this.#at + 1] === "*") this.#skipComment();
    else if (char === "/" && this.#expectsExpression()) this.#skipRegExp();
    else if (isWordPart(source.charCodeAt(this.#at))) this.#word();
    else if (char === "{") this.#open();
    else if (char === "}") this.#close();
    else this.#punctuation(char);
  }

  #word(): void {
    const start = this.#at;
    while (this.#at < this.#source.length && isWordPart(this.#source.charCodeAt(this.#at))) this.#at++;
    const word = this.#source.slice(start, this.#at);
    const isMember = this.#previous === "." && this.#source[start - 2] !== ".";
    this.#previous = isMember ? "member" : word;
    if (this.#creators.has(word)) this.#require(endOfParentheses(this.#source, this.#at));
    else if (isMember) return;
    else if (this.#requires.has(word)) this.#require(this.#at);
    // Optional, because a minified text may use the same short name for something else.
    else if (this.#aliases.has(word)) this.#require(this.#at, true);
    // Authors write `module.require("x")` to hide a module that may be missing.
    else if (word === "module") this.#call(endAt(REQUIRE_MEMBER, this.#source, this.#at), "require", true);
    else if (word === "import") this.#call(this.#at, "import");
  }

  #require(at: number, isOptional = this.#tries > 0): void {
    const end = endAt(RESOLVE_MEMBER, this.#source, at);
    if (end < 0) this.#call(at, "require", isOptional);
    else this.#call(end, "require", isOptional, true);
  }

  /** Looks ahead for `("x")`, unless `at` is negative. The scan itself continues after the word. */
  #call(at: number, kind: "require" | "import", isOptional = this.#tries > 0, isLookUp = false): void {
    const specifier = literalAt(this.#source, at);
    if (specifier !== undefined) this.#found.push({ specifier, kind, isLookUp, isOptional });
  }

  #open(): void {
    const kind = this.#previous === "try" ? "try" : "other";
    if (kind === "try") this.#tries++;
    this.#braces.push(kind);
    this.#punctuation("{");
  }

  #close(): void {
    const kind = this.#braces.pop();
    if (kind === "try") this.#tries--;
    if (kind === "template") this.#skipTemplate();
    else this.#punctuation("}");
  }

  #punctuation(char: string): void {
    this.#previous = char;
    this.#at++;
  }

  #expectsExpression(): boolean {
    const previous = this.#previous;
    if (previous === "" || BEFORE_EXPRESSION.has(previous)) return true;
    return (
      previous !== ")" &&
      previous !== "]" &&
      previous !== "}" &&
      !isWordPart(previous.charCodeAt(0)) &&
      previous !== '"'
    );
  }

  #skipString(quote: string): void {
    this.#at++;
    while (this.#at < this.#source.length) {
      const char = this.#source[this.#at++];
      if (char === "\\") this.#at++;
      else if (char === quote || char === "\n") break;
    }
    this.#previous = '"';
  }

  /** Skips a template, from the opening backtick or from the brace that ends a substitution. */
  #skipTemplate(): void {
    this.#at++;
    while (this.#at < this.#source.length) {
      const char = this.#source[this.#at++];
      if (char === "\\") this.#at++;
      else if (char === "`") break;
      else if (char === "$" && this.#source[this.#at] === "{") {
        this.#at++;
        this.#braces.push("template");
        this.#previous = "{";
        return;
      }
    }
    this.#previous = '"';
  }

  #skipRegExp(): void {
    const start = this.#at++;
    for (let inClass = false; this.#at < this.#source.length; ) {
      const char = this.#source[this.#at++];
      if (char === "\\") this.#at++;
      else if (char === "[") inClass = true;
      else if (char === "]") inClass = false;
      else if (char === "/" && !inClass) break;
      else if (char === "\n") {
        // The slash was a division.
        this.#at = start + 1;
        break;
      }
    }
    this.#previous = '"';
  }

  #skipLine(): void {
    const end = this.#source.indexOf("\n", this.#at);
    this.#at = end < 0 ? this.#source.length : end;
  }

  #skipComment(): void {
    const end = this.#source.indexOf("*/", this.#at + 2);
    this.#at = end < 0 ? this.#source.length : end + 2;
  }
}

const REQUIRE = "require";
const MAX_SPECIFIER = 1000;
/** The most characters between a name and the `createRequire` whose result it gets. */
const MAX_ASSIGNMENT = 200;
/** The most characters of the argument of a `createRequire` that is called at once. */
const MAX_ARGUMENT = 1000;
const LITERAL_CALL = /\s*\(\s*(?<open>["'`])(?<specifier>[^"'`\n$]+)(?<close>["'`])\s*[,)]/y;
const CALL = /\s*\(/y;
const END_OF_VALUE = /[ \t]*(?:[;,\r\n]|$)/y;
const REQUIRE_MEMBER = /\s*\.\s*require\b/y;
const RESOLVE_MEMBER = /\s*\.\s*resolve\b/y;

/** Returns the literal argument of the call whose parenthesis is the next thing at a place. */
function literalAt(source: string, at: number): string | undefined {
  if (at < 0) return undefined;
  LITERAL_CALL.lastIndex = at;
  const { open, specifier, close } = LITERAL_CALL.exec(source)?.groups ?? {};
  if (specifier === undefined || specifier.length > MAX_SPECIFIER || specifier.includes("\\"))
    return undefined;
  return open === close ? specifier : undefined;
}

/** Returns the literal argument of `.resolve("x")` at a place. */
export function lookUpAt(source: string, at: number): string | undefined {
  return literalAt(source, endAt(RESOLVE_MEMBER, source, at));
}

/** Returns the end of what a pattern matches at a place; -1 if there is nothing, or if `at` is negative. */
function endAt(pattern: RegExp, source: string, at: number): number {
  if (at < 0) return -1;
  pattern.lastIndex = at;
  return pattern.test(source) ? pattern.lastIndex : -1;
}

/** Returns the end of the parentheses that are the next thing at a place; -1 if there are none. */
function endOfParentheses(source: string, at: number): number {
  let depth = 0;
  for (let end = at; end < at + MAX_ARGUMENT && end < source.length; end++) {
    const char = source[end] as string;
    if (char === "(") depth++;
    else if (char === ")" && depth > 0) {
      depth--;
      if (depth === 0) return end + 1;
    } else if (depth === 0 && char > " ") return -1;
  }
  return -1;
}

/** Whether a character is a letter, a digit, `_`, `$` or not ASCII. */
function isWordPart(code: number): boolean {
  return (
    (code >= 97 && code <= 122) ||
    (code >= 65 && code <= 90) ||
    (code >= 48 && code <= 57) ||
    code === 95 ||
    code === 36 ||
    code > 127
  );
}
