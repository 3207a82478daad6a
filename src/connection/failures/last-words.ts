import { STAGE_0 } from "../../bootstrap/command.ts";

/** The message of a failed connect holds at most this many lines. `details.stderr` has them all. */
const MAX_LINES = 10;
/**
 * How our own script begins when a tool, a shell or node repeats it: stage 0, stage 0 as su gets it, stage 1.
 */
const SCRIPT_STARTS: readonly string[] = [STAGE_0.slice(0, 14), "l=$1;shift;c=", "{let{versions:"];
/** The nonce and the payload's length, which follow the script on the command line. */
const SCRIPT_END = /[0-9a-f]{16} \d/;
/** A line with more replacement characters than this is binary data. */
const MAX_BROKEN_CHARACTERS = 5;
const BROKEN = "\ufffd";

/** The output of a tool, without repetitions of our own script and without binary data. */
export function readableWords(said: string): string {
  const lines = said
    .split("\n")
    .map(readable)
    // Drops the line with which node points into our script.
    .filter((line) => !/^[ ^]*$/.test(line));
  return lines.filter((line, index) => line !== lines[index - 1]).join("\n");
}

/** The end of such output, for a message. Leaves out stack lines, which would push out the reason. */
export function lastWords(words: string): string {
  const lines = words.split("\n").filter((line) => !/^ {4}at /.test(line));
  return lines.slice(-MAX_LINES).join("\n");
}

function readable(line: string): string {
  const parts = line.split(BROKEN);
  if (parts.length > MAX_BROKEN_CHARACTERS) return "(binary data)";
  return withoutScript(parts.join("?"));
}

function withoutScript(line: string): string {
  const starts = SCRIPT_STARTS.map((text) => line.indexOf(text)).filter((at) => at >= 0);
  if (starts.length === 0) return line;
  const start = Math.min(...starts);
  const end = SCRIPT_END.exec(line.slice(start))?.index;
  return `${line.slice(0, start)}…${end === undefined ? "" : line.slice(start + end)}`;
}
