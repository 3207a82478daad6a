/**
 * The only place that makes foreign text fit to be shown. It escapes everything on which a terminal would
 * act, or that would appear in another order than it was written. Otherwise the output of a context could
 * move the cursor over other lines, change a window's title, make the terminal send input, or look like a
 * record of another context.
 */

/**
 * Control characters (C0, DEL, C1), line and paragraph separators, and marks that change the direction of
 * text.
 */
const ACTIVE = /[\0-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/g;
/**
 * The same characters except tabs, in runs. The sequence of a colour is a match of its own, because it changes
 * only how text looks.
 */
const COLOUR_OR_ACTIVE =
  /\x1b\[[\d;:]*m|\x1b|[\0-\x08\n-\x1a\x1c-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]+/g;
const LINE_END = /[\n\v\f\x85\u2028\u2029]/;
const NO_COLOUR = "\x1b[0m";

/**
 * Makes foreign text, such as a name or a path, fit for one line. Each active character becomes `instead`, by
 * default its escape, such as `\u001b`.
 */
export function oneLine(text: string, instead?: string): string {
  return text.replace(ACTIVE, (char) => instead ?? written(char));
}

/**
 * Makes foreign text of any length fit to be shown. Tabs and colours stay; colours end with the text. Line
 * ends of any kind become `lineEnd`; a carriage return at the end of the text is left out, because it belonged to the
 * line feed that ended the line. The rest is escaped.
 */
export function showControls(text: string, lineEnd: string): string {
  let colour = NO_COLOUR;
  const shown = text.replace(/\r$/, "").replace(COLOUR_OR_ACTIVE, (run) => {
    if (run === "\x1b") return written(run);
    if (run[0] !== "\x1b") return showRun(run, lineEnd);
    colour = run;
    return run;
  });
  return colour === NO_COLOUR || colour === "\x1b[m" ? shown : shown + NO_COLOUR;
}

/** Removes colours and everything else on which a terminal acts, so that the text can be compared or quoted. */
export function withoutControls(text: string): string {
  return text.replace(/\x1b\[[0-9;?]*[ -/]*[@-~]/g, "").replace(COLOUR_OR_ACTIVE, "");
}

function showRun(run: string, lineEnd: string): string {
  let shown = "";
  for (let i = 0; i < run.length; i++) {
    const char = run.charAt(i);
    if (char === "\r") shown += run[i + 1] === "\n" ? "" : lineEnd;
    else shown += LINE_END.test(char) ? lineEnd : written(char);
  }
  return shown;
}

function written(char: string): string {
  return `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`;
}
