import type { Context } from "../core/context.ts";
import { Receiver } from "../core/receiver.ts";
import { Sender } from "../core/sender.ts";
import { ChannelError, ProtocolError } from "../errors.ts";
import { StreamSource } from "../files/ends/source.ts";
import { newAbortEnd } from "../waiting/abort-end.ts";
import { type CommandExit, type CommandRequest, RUN_COMMAND } from "./far-side.ts";

/** What is written to a command's stdin. */
export type CommandInput =
  | string
  | Uint8Array
  | AsyncIterable<Uint8Array | string>
  | Iterable<Uint8Array | string>;

/** A piece of a command's stdout or stderr. */
export type Chunk = readonly [fd: 1 | 2, bytes: Uint8Array];

/** Stands in for an error where there was none. */
const END = new Error("The command has ended");

/**
 * Runs a command in `context` and yields what it prints; returns how it ended. A reader that leaves ends the command, and so does
 * `signal`, whose reason is thrown.
 */
export async function* runIn(
  context: Context,
  request: CommandRequest,
  input: CommandInput | undefined,
  signal: AbortSignal,
): AsyncGenerator<Chunk, CommandExit> {
  const receiver = new Receiver<unknown>(context.router, { respondent: context });
  const source = input === undefined ? undefined : sourceOf(input);
  const end = newAbortEnd();
  const giveUp = (): void => end.abort(signal.reason);
  if (signal.aborted) giveUp();
  signal.addEventListener("abort", giveUp);
  const call = context.with({ signal: end.signal }).call(RUN_COMMAND, request, receiver.toSender());
  // The answer follows the output: what is queued is still read.
  call.then(
    () => receiver.abort(END),
    (error) => receiver.abort(error),
  );
  try {
    let needsSender = source !== undefined;
    for (;;) {
      const value = (await receiver.get()).decode();
      if (!needsSender) yield chunkOf(value, context);
      else {
        needsSender = false;
        feed(source as StreamSource, stdinOf(value, context), end.signal).catch((error) => end.abort(error));
      }
    }
  } catch (error) {
    // A context that closes the way back says with its answer what happened.
    if (error !== END && !(error instanceof ChannelError)) throw error;
    return exitOf(await call, context);
  } finally {
    signal.removeEventListener("abort", giveUp);
    end.abort(new Error("nobody reads the output of the command any more"));
    receiver.close();
    source?.interrupt();
  }
}

function sourceOf(input: CommandInput): StreamSource {
  return new StreamSource(typeof input === "string" || input instanceof Uint8Array ? [input] : input);
}

/** Passes on the input only as fast as the command reads. A command that reads no more is no failure; a source that throws is one. */
async function feed(source: StreamSource, stdin: Sender<unknown>, signal: AbortSignal): Promise<void> {
  try {
    for await (const chunk of source.chunks()) {
      const isRead = await stdin.send(chunk, { signal }).then(
        () => true,
        () => false,
      );
      if (!isRead) return;
    }
  } finally {
    stdin.close();
    source.interrupt();
  }
}

/** What the command reads is for that context, not for one that it names. */
function stdinOf(value: unknown, context: Context): Sender<unknown> {
  if (value instanceof Sender && value.contextId === context.contextId) return value;
  throw nonsense(context);
}

function chunkOf(value: unknown, context: Context): Chunk {
  const [fd, bytes] = Array.isArray(value) ? value : [];
  if ((fd !== 1 && fd !== 2) || !(bytes instanceof Uint8Array)) throw nonsense(context);
  return [fd, bytes];
}

function exitOf(value: unknown, context: Context): CommandExit {
  const exit = (typeof value === "object" && value !== null ? value : {}) as Partial<CommandExit>;
  const { exitCode, signal, durationMs, failure } = exit;
  if (
    (exitCode !== null && !(Number.isInteger(exitCode) && (exitCode as number) >= 0)) ||
    (signal !== null && typeof signal !== "string") ||
    typeof durationMs !== "number" ||
    (failure !== undefined && (typeof failure?.code !== "string" || typeof failure.message !== "string"))
  ) {
    throw nonsense(context);
  }
  return { exitCode, signal, durationMs, failure } as CommandExit;
}

function nonsense(context: Context): ProtocolError {
  return new ProtocolError(`Cannot run a command in ${context.name}: it answered something else than output`);
}
