/** A literal `require("x")` or `import("x")` in CommonJS. */
export interface ScannedRequire {
  readonly specifier: string;
  readonly kind: "require" | "import";
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

class Scanner {
  readonly #source: string;
  readonly #found: ScannedRequire[] = [];
  /** The kind of each open brace: a `try` block, a template's `${`, or any other. */
  readonly #braces: ("try" | "template" | "other")[] = [];
  #tries = 0;
  #at = 0;
  /** The previous word or character, without white space and comments. */
  #previous = "";

  constructor(source: string) {
    this.#source = source;
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
    if (!isMember && (word === "require" || word === "import")) this.#call(word);
  }

  /** Looks ahead for `("x")`. The scan itself continues after the word. */
  #call(kind: "require" | "import"): void {
    const match = matchAt(LITERAL_CALL, this.#source, this.#at);
    const specifier = match?.[2];
    if (specifier === undefined || specifier.length > MAX_SPECIFIER || specifier.includes("\\")) return;
    if (match?.[1] !== match?.[3]) return;
    this.#found.push({ specifier, kind, isOptional: this.#tries > 0 });
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
const LITERAL_CALL = /\s*\(\s*(["'`])([^"'`\n$]+)(["'`])\s*[,)]/y;

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
