import { chmodSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/** What a fake tool does, in order. */
export type Step =
  /** Writes the text, one byte at a time with pauses. */
  | { say: string }
  /** Reads a line; plays `wrong` first if the line is another one. */
  | { expect: string; wrong?: Step[] }
  /** Prints the text and ends, unless the tool has a controlling terminal. */
  | { needTerminal: string }
  | { exit: number }
  /** Reads nothing and waits to be ended, because the bytes in the pipe are meant for another reader. */
  | { wait: true }
  /** Runs the words after `--`, or else the last word as a shell line, and ends with its exit code. */
  | { run: true };

export interface FakeTool {
  /** The path to start in place of sudo, su, doas or ssh. */
  readonly path: string;
  /** The lines it has read, over all its runs. */
  lines(): string[];
  runs(): number;
}

/** Writes a stand-in for a tool that asks on its stderr and stdin, or on its controlling terminal. */
export function makeFakeTool(
  folder: string,
  name: string,
  steps: readonly Step[],
  { onTerminal = false, pauseMs = 3 }: { onTerminal?: boolean; pauseMs?: number } = {},
): FakeTool {
  const path = join(folder, name);
  const record = `${path}.read`;
  writeFileSync(record, "");
  writeFileSync(path, program({ steps, onTerminal, pauseMs, record }));
  chmodSync(path, 0o755);
  const entries = (): unknown[] =>
    readFileSync(record, "utf8")
      .split("\n")
      .filter((line) => line !== "")
      .map((line) => JSON.parse(line));
  return {
    path,
    lines: () => entries().filter((entry) => typeof entry === "string") as string[],
    runs: () => entries().filter((entry) => entry === 0).length,
  };
}

function program(config: object): string {
  return `#!${process.execPath}
const { spawnSync } = require("node:child_process");
const fs = require("node:fs");
const { steps, onTerminal, pauseMs, record } = ${JSON.stringify(config)};
const out = onTerminal ? fs.openSync("/dev/tty", "w") : 2;
const input = onTerminal ? fs.openSync("/dev/tty", "r") : 0;
const note = (entry) => fs.appendFileSync(record, JSON.stringify(entry) + "\\n");
const pause = (ms) => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
function say(text) {
  for (const byte of Buffer.from(text)) {
    fs.writeSync(out, Buffer.of(byte));
    pause(pauseMs);
  }
}
function readLine() {
  const bytes = [];
  for (const byte = Buffer.alloc(1); ; ) {
    try {
      if (fs.readSync(input, byte, 0, 1) === 0) process.exit(9);
    } catch (error) {
      if (error.code !== "EAGAIN") process.exit(9);
      pause(2);
      continue;
    }
    if (byte[0] === 10) return Buffer.from(bytes).toString();
    bytes.push(byte[0]);
  }
}
function run() {
  const at = process.argv.indexOf("--");
  const [command, ...args] = at < 0 ? ["sh", "-c", process.argv[process.argv.length - 1]] : process.argv.slice(at + 1);
  const { status } = spawnSync(command, args, { stdio: "inherit" });
  process.exit(status ?? 1);
}
function play(steps) {
  for (const step of steps) {
    // "%p" is the prompt that the caller gave with sudo's -p.
    if (step.say !== undefined) say(step.say.replace("%p", process.argv[process.argv.indexOf("-p") + 1]));
    else if (step.expect !== undefined) {
      const line = readLine();
      note(line);
      if (line !== step.expect && step.wrong !== undefined) play(step.wrong);
    } else if (step.needTerminal !== undefined) {
      try {
        fs.closeSync(fs.openSync("/dev/tty", "r"));
      } catch {
        fs.writeSync(2, step.needTerminal);
        process.exit(1);
      }
    } else if (step.exit !== undefined) process.exit(step.exit);
    else if (step.wait === true) pause(60_000);
    else run();
  }
}
note(0);
play(steps);
`;
}
