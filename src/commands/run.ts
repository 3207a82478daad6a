import { StringDecoder } from "node:string_decoder";
import { Context } from "../core/context.ts";
import { instanceOf } from "../options/option-types.ts";
import { readOptions, takeOption } from "../options/options.ts";
import { PieceSplitter } from "../text/piece-splitter.ts";
import { type Command, parseCommand } from "./command.ts";
import { CommandRun, type RunResult } from "./command-run.ts";
import { LINES_OPTIONS, type LinesOptions, RUN_OPTIONS, type RunOptions } from "./run-options.ts";

/** The type of {@link run}. */
export interface Run {
  /**
   * Runs a command in `context` and waits for its end. `command` is a list of the program and its arguments,
   * or a string, which is split at spaces. No shell is used unless `shell` asks for one. The command, and
   * everything it has started, ends after `timeoutMs`, with `signal` and with the context. Rejects with a
   * CommandError if the command cannot be started, exits with a code other than 0, is ended by a signal, or prints more
   * than `maxOutputBytes`. Otherwise rejects with a TimeoutError, the reason of `signal`, or a ChannelError:
   * docs/commands.md.
   *
   * ```ts
   * const { stdout } = await run(context, ["git", "rev-parse", "HEAD"], { cwd: "/srv/app" });
   * ```
   */
  (
    context: Context,
    command: Command,
    options: RunOptions<Uint8Array> & { readonly encoding: "buffer" },
  ): Promise<RunResult<Uint8Array>>;
  (context: Context, command: Command, options?: RunOptions): Promise<RunResult>;

  /**
   * Runs a command like `run`, but yields the lines of stdout as they come, without their line ends. The
   * command starts when the first line is requested. It runs ahead of the reader by about 1 MiB. Leaving the
   * loop ends it. After the last line, throws the errors of `run`.
   *
   * ```ts
   * for await (const line of run.lines(context, ["tail", "-F", "/var/log/syslog"])) console.log(line);
   * ```
   */
  lines(context: Context, command: Command, options?: LinesOptions): AsyncIterableIterator<string>;
}

const CONTEXT = instanceOf(Context, "a Context");
const DEFAULT_MAX_BYTES = 16 * 1024 * 1024;
/** How much output is kept for an error's message if output is not returned. */
const TAIL_BYTES = 64 * 1024;

type Callback = RunOptions<string | Uint8Array>["onStdout"];

async function runCommand(
  context: Context,
  command: Command,
  given: RunOptions<string | Uint8Array> = {},
): Promise<RunResult<string | Uint8Array>> {
  takeOption("run a command", "the context", context, CONTEXT);
  const options = readOptions("run a command", given, RUN_OPTIONS);
  const { encoding = "utf8", stripFinalNewline = true, maxOutputBytes = DEFAULT_MAX_BYTES } = options;
  const takers = [options.onStdout, options.onStderr].map((callback) => takerFor(callback, encoding));
  const started = new CommandRun(context, parseCommand(command, options.shell), options, {
    maxBytes: maxOutputBytes,
    isBounded: ([1, 2] as const).map((fd) => takers[fd - 1] === undefined),
    show: (bytes) => {
      if (encoding === "buffer") return Uint8Array.from(bytes);
      const text = bytes.toString();
      return stripFinalNewline ? text.replace(/\r?\n$/, "") : text;
    },
  });
  const output = started.output();
  try {
    let next = await output.next();
    for (; next.done !== true; next = await output.next()) {
      const [fd, bytes] = next.value;
      const taken = takers[fd - 1]?.(bytes);
      if (taken !== undefined) await started.within(taken);
    }
    for (const taker of takers) await taker?.();
    return next.value;
  } finally {
    await output.return(undefined as never);
  }
}

/**
 * Calls a callback with the output of a stream. A call without an argument passes on the rest at the stream's
 * end.
 */
function takerFor(callback: Callback, encoding: string): ((bytes?: Uint8Array) => unknown) | undefined {
  if (callback === undefined || encoding === "buffer") {
    return callback && ((bytes) => bytes && callback(bytes));
  }
  const decoder = new StringDecoder("utf8");
  return (bytes) => {
    const text = bytes === undefined ? decoder.end() : decoder.write(Buffer.from(bytes));
    return text === "" ? undefined : callback(text);
  };
}

function lines(context: Context, command: Command, given: LinesOptions = {}): AsyncIterableIterator<string> {
  const what = "run a command";
  takeOption(what, "the context", context, CONTEXT);
  const options = readOptions(what, given, LINES_OPTIONS);
  const parsed = parseCommand(command, options.shell);
  const started = new CommandRun(context, parsed, options, {
    maxBytes: TAIL_BYTES,
    isBounded: [false, false],
    show: (bytes) => bytes.toString(),
  });
  return linesOf(started, options.from ?? "stdout");
}

async function* linesOf(started: CommandRun, from: "stdout" | "stderr" | "all"): AsyncGenerator<string> {
  const found: string[] = [];
  const splitters = ["stdout", "stderr"].map((name) =>
    from === "all" || from === name ? new PieceSplitter((lines) => found.push(...lines)) : undefined,
  );
  const take = function* (): Iterable<string> {
    for (const line of found.splice(0)) yield line.endsWith("\r") ? line.slice(0, -1) : line;
  };
  try {
    for await (const [fd, bytes] of started.output()) {
      splitters[fd - 1]?.take(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length));
      yield* take();
    }
  } finally {
    for (const splitter of splitters) splitter?.flush();
  }
  yield* take();
}

/** Runs commands in contexts: docs/commands.md. The type {@link Run} has the details. */
export const run: Run = Object.assign(runCommand as never as Run, { lines });
