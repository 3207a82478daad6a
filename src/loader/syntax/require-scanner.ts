/** A literal `require("x")`, `require.resolve("x")` or `import("x")`. */
export interface ScannedRequire {
  readonly specifier: string;
  readonly kind: "require" | "import";
  /** Whether the module is only looked up: `require.resolve("x")`. */
  readonly isLookUp: boolean;
  /** Whether the call is in a `try` block, so that the module works without the other one. */
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

/** Returns the names of the functions that a text uses as `require`. */
function requiresIn(source: string, creators: ReadonlySet<string>): ReadonlySet<string> {
  const names = new Set(["require"]);
  if (creators.size === 0) return names;
  for (const [, name = "", creator = ""] of source.matchAll(
    /(?<![\w$.])([\w$]+)\s*=\s*(?:[\w$]+\s*\.\s*)?([\w$]+)\s*\(/g,
  )) {
    if (creators.has(creator)) names.add(name);
  }
  return names;
}

class Scanner {
  readonly #source: string;
  readonly #creators: ReadonlySet<string>;
  readonly #requires: ReadonlySet<string>;
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
    if (this.#creators.has(word)) this.#call(CREATED_CALL, "require");
    else if (isMember) return;
    else if (this.#requires.has(word)) this.#call(REQUIRE_CALL, "require");
    else if (word === "module") this.#call(MODULE_CALL, "require", true);
    else if (word === "import") this.#call(IMPORT_CALL, "import");
  }

  /** Looks ahead for `("x")`. The scan itself continues after the word. */
  #call(pattern: RegExp, kind: "require" | "import", isOptional = this.#tries > 0): void {
    const match = matchAt(pattern, this.#source, this.#at);
    const { member, open, specifier, close } = match?.groups ?? {};
    if (specifier === undefined || specifier.length > MAX_SPECIFIER || specifier.includes("\\")) return;
    if (open !== close) return;
    this.#found.push({ specifier, kind, isLookUp: member === "resolve", isOptional });
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

const MAX_SPECIFIER = 1000;
const LITERAL_CALL = /\s*\(\s*(?<open>["'`])(?<specifier>[^"'`\n$]+)(?<close>["'`])\s*[,)]/y;
const IMPORT_CALL = LITERAL_CALL;
/** `require("x")`, `require.resolve("x")` */
const REQUIRE_CALL = after(/(?:\s*\.\s*(?<member>resolve))?/);
/** `module.require("x")`: authors write it to hide a module that may be missing. */
const MODULE_CALL = after(/\s*\.\s*require/);
/** `createRequire(import.meta.url)("x")` */
const CREATED_CALL = after(/\s*\((?:[^()\n]|\([^()\n]{0,200}\)){0,200}\)(?:\s*\.\s*(?<member>resolve))?/);

function after(beginning: RegExp): RegExp {
  return new RegExp(beginning.source + LITERAL_CALL.source, "y");
}

function matchAt(pattern: RegExp, text: string, at: number): RegExpExecArray | null {
  pattern.lastIndex = at;
  return pattern.exec(text);
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
