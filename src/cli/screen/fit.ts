/** From this code point on, characters other than punctuation and arrows may be two columns wide. */
const FIRST_WIDE = 0x1100;
const NARROW = { from: 0x2000, to: 0x22ff };

/**
 * The most columns that `text`, one harmless line without colours, can take: wide characters take two, all others one.
 */
export function widthOf(text: string): number {
  let width = 0;
  for (const char of text) width += columnsOf(char);
  return width;
}

function columnsOf(char: string): number {
  const code = char.codePointAt(0) as number;
  return code < FIRST_WIDE || (code >= NARROW.from && code <= NARROW.to) ? 1 : 2;
}

/** The beginning of `text` that fits into that many columns, with "…" if something is cut off. */
export function cut(text: string, columns: number): string {
  // No text that fits is longer, and foreign lines may be very long.
  if (text.length <= columns && widthOf(text) <= columns) return text;
  let width = 1;
  let kept = "";
  for (const char of text) {
    width += columnsOf(char);
    if (width > columns) break;
    kept += char;
  }
  return columns < 1 ? "" : `${kept}…`;
}

/** `text`, padded with spaces to that many columns. */
export function pad(text: string, columns: number): string {
  return text + " ".repeat(Math.max(0, columns - widthOf(text)));
}

const LONGEST_LINE = 100;

/** `text` after `head`, wrapped to the terminal. Further lines are indented to where the text begins. */
export function hang(head: string, text: string, { columns }: { readonly columns: number }): string {
  const indent = " ".repeat(head.length);
  const width = Math.max(20, Math.min(columns, LONGEST_LINE) - head.length);
  const lines = [""];
  for (const word of text.split(" ")) {
    const last = lines.at(-1) as string;
    if (last !== "" && last.length + 1 + word.length > width) lines.push(word);
    else lines[lines.length - 1] = last === "" ? word : `${last} ${word}`;
  }
  return lines.map((line, i) => (i === 0 ? head : indent) + line).join("\n");
}

/** A time for people: `340ms`, `1.2s`, `3m05s`. */
export function shortTime(ms: number): string {
  if (ms < 1000) return `${Math.max(0, Math.round(ms))}ms`;
  const seconds = ms / 1000;
  if (seconds < 60) return `${seconds.toFixed(1)}s`;
  const whole = Math.round(seconds);
  return `${Math.floor(whole / 60)}m${String(whole % 60).padStart(2, "0")}s`;
}

/** A size for people: `512 B`, `1.5 MiB`. */
export function shortSize(bytes: number): string {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let size = bytes;
  let unit = 0;
  while (size >= 1024 && unit < units.length - 1) {
    size /= 1024;
    unit += 1;
  }
  return unit === 0 ? `${size} B` : `${size.toFixed(1)} ${units[unit]}`;
}
