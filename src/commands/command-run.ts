import type { Context } from "../core/context.ts";
import { CallError, MitogenError, TimeoutError } from "../errors.ts";
import { newAbortEnd } from "../waiting/abort-end.ts";
import { watchBounds } from "../waiting/wait.ts";
import { Handle } from "../wire/handles.ts";
import { Secret } from "../wire/values/secret.ts";
import { messageOf } from "../wire/values/thrown.ts";
import { contextAs } from "./as-user.ts";
import type { ParsedCommand } from "./command.ts";
import { CommandError, type CommandFailure, lastLines, shortCommand, withOutput } from "./command-error.ts";
import type { CommandExit, CommandRequest } from "./far-side.ts";
import { OutputTail } from "./output-tail.ts";
import type { CommandOptions } from "./run-options.ts";
import { type Chunk, runIn } from "./running.ts";

/** The result of a command. */
export interface RunResult<T extends string | Uint8Array = string> {
  /** Null if a signal ended it. */
  readonly exitCode: number | null;
  /** The signal that ended it, such as `SIGTERM`; null if it ended by itself. */
  readonly signal: string | null;
  /** What the command wrote to stdout. */
  readonly stdout: T;
  /** What the command wrote to stderr. */
  readonly stderr: T;
  /** Milliseconds from the start of the command to its end, by the clock of the context's machine. */
  readonly durationMs: number;
}

/** How a command's output is kept. */
export interface Keeping {
  /** The most bytes of each stream. */
  readonly maxBytes: number;
  /** Whether more bytes are an error, for stdout and for stderr. */
  readonly isBounded: readonly boolean[];
  /** Turns the kept bytes into the returned value. */
  show(bytes: Buffer): string | Uint8Array;
}

/** One command, from its start to its end. */
export class CommandRun {
  readonly #context: Context;
  readonly #command: ParsedCommand;
  readonly #options: CommandOptions;
  readonly #keeping: Keeping;
  readonly #tails: readonly [OutputTail, OutputTail];
  readonly #end: ReturnType<typeof newAbortEnd> = newAbortEnd();
  readonly #givenUp: Promise<never>;
  #isTimedOut = false;

  constructor(context: Context, command: ParsedCommand, options: CommandOptions, keeping: Keeping) {
    this.#context = context;
    this.#command = command;
    this.#options = options;
    this.#keeping = keeping;
    this.#tails = [new OutputTail(keeping.maxBytes), new OutputTail(keeping.maxBytes)];
    const { signal } = this.#end;
    this.#givenUp = new Promise((_resolve, reject) => {
      signal.addEventListener("abort", () => reject(signal.reason), { once: true });
    });
    this.#givenUp.catch(() => undefined); // within() handles the rejection
  }

  /** Waits for something other than the command, but no longer than the command may take. */
  within<T>(promise: T): Promise<Awaited<T>> {
    return Promise.race([promise, this.#givenUp]) as Promise<Awaited<T>>;
  }

  /** Runs the command and yields its output. Throws the errors of `run`. */
  async *output(): AsyncGenerator<Chunk, RunResult<string | Uint8Array>> {
    const { signal, timeoutMs, user } = this.#options;
    const unwatch = watchBounds(
      { signal, timeoutMs },
      () => "run a command",
      (reason) => {
        this.#isTimedOut = signal?.aborted !== true;
        this.#end.abort(reason);
      },
    );
    try {
      // The signal may have been aborted before. Then nothing is started.
      await this.within(undefined);
      this.checkPlace();
      const context = user === undefined ? this.#context : await this.within(this.contextAs(user));
      const exit = yield* this.runIn(context);
      return this.resultOf(exit);
    } catch (error) {
      throw this.#isTimedOut && error === this.#end.signal.reason ? this.timeoutError() : error;
    } finally {
      unwatch();
    }
  }

  /** A program runs no functions for others, so nothing in it could start the command. */
  private checkPlace(): void {
    const { contextId, router } = this.#context;
    if (contextId !== router.contextId || router.hasHandler(Handle.CALL_FUNCTION)) return;
    throw new MitogenError(
      `Cannot run ${shortCommand(this.#command.text)}: run() runs commands in contexts, not in the program itself; use a context of router.local(), or node:child_process`,
    );
  }

  private async *runIn(context: Context): AsyncGenerator<Chunk, CommandExit> {
    const { input, cwd, env } = this.#options;
    const request: CommandRequest = {
      argv: this.#command.argv,
      cwd,
      env,
      hasInput: input !== undefined,
    };
    const text = input instanceof Secret ? input.reveal() : input;
    const running = runIn(context, request, text, this.#end.signal);
    try {
      let next = await running.next();
      for (; next.done !== true; next = await running.next()) {
        this.keep(next.value);
        yield next.value;
      }
      return next.value;
    } finally {
      await running.return(undefined as never);
    }
  }

  private keep([fd, bytes]: Chunk): void {
    const { maxBytes, isBounded } = this.#keeping;
    const tail = this.#tails[fd - 1] as OutputTail;
    tail.push(bytes);
    if (tail.total <= maxBytes || isBounded[fd - 1] !== true) return;
    throw this.error({
      why: `it printed more than ${maxBytes} bytes to ${fd === 1 ? "stdout" : "stderr"} and was ended`,
      cure: "raise maxOutputBytes, pass a callback for the output, or read it with run.lines()",
    });
  }

  private async contextAs(user: string): Promise<Context> {
    try {
      return await contextAs(this.#context, user);
    } catch (cause) {
      throw this.error({
        why: `cannot become ${user}: ${messageOf(cause).split("\n", 1)[0]}`,
        cure: "if it needs a password, connect with router.sudo({ via, username, password }) and run it there",
        cause,
      });
    }
  }

  private resultOf({ exitCode, signal, durationMs, failure }: CommandExit): RunResult<string | Uint8Array> {
    if (failure !== undefined) {
      const cause = Object.assign(new CallError(failure.message), { code: failure.code });
      throw this.error({ why: failure.message, cause, durationMs });
    }
    const [stdout, stderr] = this.#tails.map(({ bytes }) => this.#keeping.show(bytes)) as [string, string];
    if (exitCode === 0 || this.#options.check === false) {
      return { exitCode, signal, stdout, stderr, durationMs };
    }
    const why = signal === null ? `it ended with exit code ${exitCode}` : `${signal} ended it`;
    throw this.error({ why, exitCode, signal, durationMs });
  }

  private error(failure: Partial<CommandFailure> & Pick<CommandFailure, "why">): CommandError {
    const [stdout, stderr] = this.texts();
    const unknown = { exitCode: null, signal: null, durationMs: 0 };
    return new CommandError(this.#command.text, this.#context.name, {
      ...unknown,
      stdout,
      stderr,
      ...failure,
    });
  }

  private texts(): [stdout: string, stderr: string] {
    return this.#tails.map(({ bytes }) => {
      const shown = this.#keeping.show(bytes);
      return typeof shown === "string" ? shown : bytes.toString();
    }) as [string, string];
  }

  /** Made where it is thrown, so that its stack has the caller's line. */
  private timeoutError(): TimeoutError {
    const [stdout, stderr] = this.texts().map(lastLines);
    const what = `run ${shortCommand(this.#command.text)} in ${this.#context.name}`;
    const { timeoutMs } = this.#options;
    return new TimeoutError(
      withOutput(`Cannot ${what}: it did not end within ${timeoutMs} ms`, stderr || stdout || ""),
    );
  }
}
