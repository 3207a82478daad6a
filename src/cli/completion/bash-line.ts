/** What bash has before its cursor. */
export interface BashLine {
  /** The words, without their quotes; the last one is the one before the cursor, and may be empty. */
  readonly words: readonly string[];
  /** How much of the last word readline keeps, because it completes only what follows one of its break characters. */
  readonly kept: number;
  /** The quote that is open at the cursor; empty if none is. */
  readonly quote: string;
}

/**
 * Splits a command line as bash does, without expansions. bash itself splits words also at `=`, `:` and `@`, and gives the
 * pieces to completions; so the line is split here.
 */
export function parseBashLine(line: string, breaks: string): BashLine {
  const words: string[] = [];
  let word: string | undefined;
  let kept = 0;
  let quote = "";
  for (let i = 0; i < line.length; i++) {
    const char = line[i] as string;
    if (quote === "'" || (quote === '"' && char !== "\\")) {
      if (char === quote) quote = "";
      else word += char;
    } else if (char === "\\") {
      i += 1;
      word = (word ?? "") + (line[i] ?? "");
    } else if (char === "'" || char === '"') {
      quote = char;
      word ??= "";
      // Readline completes what follows an open quote as a whole.
      kept = word.length;
    } else if (/\s/.test(char)) {
      if (word !== undefined) words.push(word);
      word = undefined;
      kept = 0;
    } else {
      word = (word ?? "") + char;
      // Readline breaks before these two, and after all others.
      if (breaks.includes(char)) kept = word.length - ("@$".includes(char) ? 1 : 0);
    }
  }
  words.push(word ?? "");
  return { words, kept, quote };
}

/**
 * The text as bash must read it, after what the command line already has. Without quoting, the name of a file could run
 * a command: `$(reboot).ts`.
 */
export function quoteForBash(text: string, { quote, kept }: Pick<BashLine, "quote" | "kept">): string {
  if (quote === "'") return text.replaceAll("'", "'\\''");
  if (quote === '"') return text.replace(/[$`"\\]/g, "\\$&");
  const quoted = text.replace(/[\s$`"'\\;&|<>()*?[\]{}!]/g, "\\$&");
  // A leading `~/` must still mean the home folder. Any other leading `~`, and `#`, are quoted.
  return kept === 0 && /^(?:#|~(?!\/))/.test(quoted) ? `\\${quoted}` : quoted;
}
