import type { Writable } from "node:stream";
import { fileURLToPath } from "node:url";
import type { Context } from "../core/context.ts";
import { Receiver } from "../core/receiver.ts";
import type { WaitOptions } from "../core/wait.ts";
import { ProtocolError } from "../errors.ts";
import { textOf } from "../wire/thrown.ts";
import { READ_FILE } from "./far-side.ts";
import { openFileSink, type SinkOptions } from "./file-sink.ts";
import { type Sink, StreamSink } from "./sink.ts";
import { type OnProgress, receive, type Transfer } from "./transfer.ts";

/** A path, `~` is not known; a `file:` URL; or a stream, which is ended, and destroyed when the transfer fails. */
export type FileSinkTarget = string | URL | Writable;

export interface TransferOptions extends WaitOptions, SinkOptions {
  /** Called on this side, for about every 512 KiB. What it throws ends the transfer. */
  readonly onProgress?: OnProgress | undefined;
}

export interface GetFileOptions extends TransferOptions {
  /** False: a stream is not ended. */
  readonly end?: boolean | undefined;
}

/**
 * Copies a file of `context` here. Under a path nothing appears until it is complete, verified and on the disk; an interrupted one is
 * gone on with by the next call. Rejects with `code`, `path` and `side` of what failed, a ChannelError when the context goes away, a
 * TimeoutError or the signal's reason: docs/files.md.
 *
 * ```ts
 * await getFile(context, "/var/log/syslog", "./syslog.web1");
 * ```
 */
export async function getFile(
  context: Context,
  remotePath: string,
  sink: FileSinkTarget,
  options: GetFileOptions = {},
): Promise<Transfer> {
  checkRemotePath(remotePath, context);
  const { signal, timeoutMs, onProgress } = options;
  signal?.throwIfAborted();
  const opened = await openSink(sink, options);
  const receiver = new Receiver<unknown>(context.router, { respondent: context });
  try {
    const call = context
      .with({ signal, timeoutMs })
      .call(READ_FILE, remotePath, receiver.toSender(), opened.offer);
    call.then(
      // It comes behind all the rest. What it has not sent by then will never come.
      () => receiver.abort(unfinished(context)),
      (error) => {
        receiver.abort(error);
        opened.interrupt(error);
      },
    );
    const transfer = await receive(opened, receiver, onProgress);
    // Until here it can be given up.
    await call;
    await opened.commit();
    return transfer;
  } catch (error) {
    await opened.abandon(error);
    throw error;
  } finally {
    // Whoever still sends is told.
    receiver.close();
  }
}

/** For a context that says it is done, and is not. */
export function unfinished(context: Context): ProtocolError {
  return new ProtocolError(
    `Cannot transfer a file of ${context.name}: it answered before all of the file was transferred`,
  );
}

/** Throws a TypeError for what is no path. */
export function checkRemotePath(path: string, context: Context): void {
  if (typeof path === "string" && path !== "") return;
  throw new TypeError(
    `Cannot transfer a file of ${context.name}: its path must be a string, got ${textOf(path)}`,
  );
}

export async function openSink(sink: FileSinkTarget, options: GetFileOptions): Promise<Sink> {
  if (typeof sink === "string") return await openFileSink(sink, options);
  if (sink instanceof URL) return await openFileSink(fileURLToPath(sink), options);
  if (typeof sink?.write === "function") return new StreamSink(sink, options.end !== false);
  throw new TypeError(
    `Cannot write a file to ${textOf(sink)}: a path, a file: URL or a Writable stream was expected`,
  );
}
