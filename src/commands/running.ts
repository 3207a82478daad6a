import type { Context } from "../core/context.ts";
import { Receiver } from "../core/receiver.ts";
import { Sender } from "../core/sender.ts";
import { ChannelError, ProtocolError } from "../errors.ts";
import { StreamSource } from "../files/ends/source.ts";
import { newAbortEnd } from "../waiting/abort-end.ts";
import { piecesOf } from "../wire/pieces.ts";
import { type CommandExit, type CommandRequest, RUN_COMMAND } from "./far-side.ts";

/** The input for a command's stdin. */
export type CommandInput =
  | string
  | Uint8Array
  | AsyncIterable<Uint8Array | string>
  | Iterable<Uint8Array | string>;

/** A piece of a command's stdout or stderr. */
export type Chunk = readonly [fd: 1 | 2, bytes: Uint8Array];

/** Marks an end without an error. */
const END = new Error("The command has ended");

/**
 * Runs a command in `context` and yields its output. Returns how it ended. A reader that leaves ends the
 * command. So does `signal`, whose reason is thrown.
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
  // The answer comes after the output, so queued output is still read.
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
    // If a context closes the way back, its answer says what happened.
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

/**
 * Passes the input on, no faster than the command reads. A command that stops reading is no failure; a source
 * that throws is one.
 */
async function feed(source: StreamSource, stdin: Sender<unknown>, signal: AbortSignal): Promise<void> {
  try {
    for await (const chunk of source.chunks()) {
      for (const piece of piecesOf(chunk, stdin.router.maxMessageBytes)) {
        const isRead = await stdin.send(piece, { signal }).then(
          () => true,
          () => false,
        );
        if (!isRead) return;
      }
    }
  } finally {
    stdin.close();
    source.interrupt();
  }
}

/** Checks the sender for the input: it must lead to that context, not to another one that it names. */
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
  return new ProtocolError(
    `Cannot run a command in ${context.name}: it answered with something other than output`,
  );
}
