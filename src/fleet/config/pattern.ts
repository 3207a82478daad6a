import picomatch from "picomatch";
import { InventoryError, quote } from "./inventory-error.ts";

/** The longest pattern, in characters, and the most terms of a selection. */
const MAX_PATTERN = 65_536;
/** The most names that the ranges of one term may stand for. */
const MAX_RANGE = 10_000;

/** One term of a pattern. */
export interface Term {
  /** How it was written, without the operator. */
  readonly text: string;
  readonly operator: "add" | "exclude" | "intersect";
  /** A group, a source, or names and globs of hosts. */
  readonly kind: "group" | "source" | "host";
  /** For a source: the part before the colon. */
  readonly source?: SourceName;
}

/** The kinds of sources. */
export const SOURCES = ["local", "ssh", "docker", "kube"] as const;
export type SourceName = (typeof SOURCES)[number];

/** Splits patterns at commas outside of brackets, and determines what each term means. */
export function parsePattern(patterns: readonly string[]): Term[] {
  const total = patterns.reduce((sum, each) => sum + each.length, 0);
  if (total > MAX_PATTERN)
    throw new InventoryError(`Cannot select hosts: the pattern has more than ${MAX_PATTERN} characters`);
  return patterns.flatMap((each) => splitTerms(each).map(parseTerm));
}

/** Between commas, white space does not count, and empty terms are left out. */
function splitTerms(pattern: string): string[] {
  const terms: string[] = [];
  let depth = 0;
  let start = 0;
  // A label selector may hold commas: `kube:shop/app=web,tier=front` is one term.
  const add = (end: number): void => {
    const term = pattern.slice(start, end).trim();
    const last = terms.at(-1);
    if (
      last !== undefined &&
      /^[!&]?kube:[^/]*\/.*=/.test(last) &&
      /^[\w./-]+\s*(?:!=|=|\s(?:not)?in\s)/.test(term)
    )
      terms[terms.length - 1] = `${last},${term}`;
    else if (term !== "") terms.push(term);
    start = end + 1;
  };
  for (let i = 0; i < pattern.length; i++) {
    const char = pattern[i] as string;
    if ("[{(".includes(char)) depth++;
    else if ("]})".includes(char)) depth = Math.max(0, depth - 1);
    else if (char === "," && depth === 0) add(i);
  }
  add(pattern.length);
  return terms;
}

function parseTerm(written: string): Term {
  const first = written[0];
  const operator = first === "!" ? "exclude" : first === "&" ? "intersect" : "add";
  const text = operator === "add" ? written : written.slice(1).trim();
  if (text === "" || text === "@")
    throw new InventoryError(`Cannot select ${quote(written)}: it names nothing`);
  if (text.startsWith("@")) return { text, operator, kind: "group" };
  const source = SOURCES.find((name) => text.startsWith(`${name}:`));
  return source === undefined ? { text, operator, kind: "host" } : { text, operator, kind: "source", source };
}

/** `[1-9]`, `[01-20]` or `[a-f]`, but no other class of characters: a picomatch class such as `[abc]` stays a glob. */
const RANGE = /\[(\d{1,9})[-:](\d{1,9})\]/;

/** Replaces ranges of numbers by their numbers: `web[08-10]` becomes web08, web09 and web10. What is left may be globs. */
export function expandRanges(term: string): string[] {
  let found = [term];
  for (;;) {
    const match = RANGE.exec(found[0] as string);
    if (match === null) return found;
    const [, first = "", last = ""] = match;
    const [low, high] = [Number(first), Number(last)];
    if (high < low)
      throw new InventoryError(`Cannot select ${quote(term)}: the range ${match[0]} runs backwards`);
    if ((high - low + 1) * found.length > MAX_RANGE)
      throw new InventoryError(
        `Cannot select ${quote(term)}: its ranges stand for more than ${MAX_RANGE} names`,
      );
    const width = first.startsWith("0") ? first.length : 0;
    const numbers = Array.from({ length: high - low + 1 }, (_, i) => String(low + i).padStart(width, "0"));
    found = found.flatMap((each) => numbers.map((number) => each.replace(match[0], number)));
  }
}

/** Whether a word stands for any name that matches it. */
export function isGlob(word: string): boolean {
  // With a colon, brackets hold an IPv6 address.
  return /[*?{}()!|]/.test(word) || (word.includes("[") && !word.includes(":"));
}

const GLOB = { bash: true, dot: true, noextglob: true, nonegate: true, maxLength: MAX_PATTERN };

/** Makes the function that tells whether a name matches. `*` also stands for slashes and leading dots. */
export function globMatcher(glob: string): (name: string) => boolean {
  try {
    const regexp = picomatch.makeRe(glob, GLOB);
    return (name) => regexp.test(name);
  } catch (error) {
    throw new InventoryError(`Cannot select ${quote(glob)}: it is not a glob`, { cause: error });
  }
}
