import type { Writable } from "node:stream";
import { fileURLToPath } from "node:url";
import { Context } from "../core/context.ts";
import { Receiver } from "../core/receiver.ts";
import { ProtocolError } from "../errors.ts";
import {
  callback,
  flag,
  instanceOf,
  integer,
  required,
  text,
  WAIT_OPTIONS,
} from "../options/option-types.ts";
import {
  misuse,
  type OptionTable,
  type OptionType,
  readOptions,
  show,
  takeOption,
} from "../options/options.ts";
import type { WaitOptions } from "../waiting/wait.ts";
import { openFileSink, type SinkOptions } from "./ends/file-sink.ts";
import { type Sink, StreamSink } from "./ends/sink.ts";
import { READ_FILE } from "./far-side.ts";
import { type OnProgress, receive, type Transfer } from "./transfer.ts";

/**
 * Where the bytes go: a path (`~` is not expanded), a `file:` URL, or a stream. The stream is ended, or destroyed if
 * the transfer fails.
 */
export type FileSinkTarget = string | URL | Writable;

export interface TransferOptions extends WaitOptions, SinkOptions {
  /** Called in this process, about every 512 KiB. An error that it throws ends the transfer. */
  readonly onProgress?: OnProgress | undefined;
}

/** Options of {@link getFile}. */
export interface GetFileOptions extends TransferOptions {
  /** False leaves a stream open after a transfer. True by default. */
  readonly end?: boolean | undefined;
}

const CONTEXT = instanceOf(Context, "a Context");
const owner: OptionType<Exclude<SinkOptions["owner"], undefined>> = {
  wanted: "true, false or { uid, gid }",
  take(value, refuse) {
    if (typeof value === "boolean") return value;
    if (typeof value !== "object" || value === null) throw refuse("ERR_INVALID_ARG_TYPE");
    return readOptions("transfer a file, option owner", value, { uid: required(id), gid: required(id) });
  },
};
const id = integer(0, 0xfffffffe);
export const TRANSFER_OPTIONS: OptionTable<TransferOptions> = {
  ...WAIT_OPTIONS,
  onProgress: callback,
  mode: integer(0, 0o7777),
  owner,
  times: flag,
  resume: flag,
  sync: flag,
};
const GET_FILE_OPTIONS: OptionTable<GetFileOptions> = { ...TRANSFER_OPTIONS, end: flag };

/**
 * Copies a file of `context` here. Nothing appears under a path until the file is complete, verified and on the disk.
 * The next call resumes an interrupted transfer. Rejects with an error whose `code`, `path` and `side` say what failed:
 * a CallError if it failed in the context. If the context ends, rejects with a ChannelError; if a bound is reached,
 * with a TimeoutError or the reason of the signal. docs/files.md
 *
 * ```ts
 * await getFile(context, "/var/log/syslog", "./syslog.web1");
 * ```
 */
export async function getFile(
  context: Context,
  remotePath: string,
  sink: FileSinkTarget,
  given: GetFileOptions = {},
): Promise<Transfer> {
  checkRemotePath(remotePath, context);
  const options = readOptions("get a file", given, GET_FILE_OPTIONS);
  const { signal, timeoutMs, onProgress } = options;
  // Node before 17.3 has no throwIfAborted().
  if (signal?.aborted === true) throw signal.reason;
  const opened = await openSink(sink, options);
  const receiver = new Receiver<unknown>(context.router, { respondent: context });
  try {
    const call = context
      .with({ signal, timeoutMs })
      .call(READ_FILE, remotePath, receiver.toSender(), opened.offer);
    call.then(
      // The answer comes after all the bytes. Bytes that have not been sent by then never will be.
      () => receiver.abort(unfinished(context)),
      (error) => {
        receiver.abort(error);
        opened.interrupt(error);
      },
    );
    const transfer = await receive(opened, receiver, onProgress);
    // Until here the transfer can be given up.
    await call;
    await opened.commit();
    return transfer;
  } catch (error) {
    await opened.abandon(error);
    throw error;
  } finally {
    // Tells the sender to stop, if it still sends.
    receiver.close();
  }
}

/** The error for a context that claims to have finished too early. */
export function unfinished(context: Context): ProtocolError {
  return new ProtocolError(
    `Cannot transfer a file of ${context.name}: it answered before all of the file was transferred`,
  );
}

/** Throws a TypeError if the argument is no path. */
export function checkRemotePath(path: string, context: Context): void {
  takeOption("transfer a file", "the context", context, CONTEXT);
  takeOption(`transfer a file of ${context.name}`, "its path", path, text);
}

export async function openSink(sink: FileSinkTarget, options: GetFileOptions): Promise<Sink> {
  if (typeof sink === "string") return await openFileSink(sink, options);
  if (sink instanceof URL) return await openFileSink(fileURLToPath(sink), options);
  if (typeof sink?.write === "function") return new StreamSink(sink, options.end !== false);
  throw misuse(
    "ERR_INVALID_ARG_TYPE",
    `Cannot write a file to ${show(sink)}: a path, a file: URL or a Writable stream was expected`,
  );
}
