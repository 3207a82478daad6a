import type { Readable } from "node:stream";
import { fileURLToPath } from "node:url";
import type { Context } from "../core/context.ts";
import { Receiver } from "../core/receiver.ts";
import { Sender } from "../core/sender.ts";
import { ChannelError, ProtocolError } from "../errors.ts";
import { isMadeBy, misuse, readOptions, show } from "../options/options.ts";
import { newAbortEnd } from "../waiting/abort-end.ts";
import { attempt } from "../wire/values/thrown.ts";
import { isCount } from "./ends/metadata.ts";
import { openFile, type Source, StreamSource } from "./ends/source.ts";
import { type SinkReady, WRITE_FILE } from "./far-side.ts";
import { checkRemotePath, TRANSFER_OPTIONS, type TransferOptions, unfinished } from "./get-file.ts";
import { send, type Transfer } from "./transfer.ts";

/** A path, a `file:` URL, bytes, a stream, or an iterable of bytes or strings. */
export type FileSource =
  | string
  | URL
  | Uint8Array
  | Readable
  | AsyncIterable<Uint8Array | string>
  | Iterable<Uint8Array | string>;

/** Options of {@link putFile}. */
export type PutFileOptions = TransferOptions;

/**
 * Copies a file, or the bytes of a stream, to `context`. Nothing appears under the path until the file is
 * complete, verified and on the disk. The next call resumes an interrupted file, but not a stream. Rejects
 * like `getFile`: docs/files.md.
 *
 * ```ts
 * await putFile(context, "/etc/motd", Buffer.from("Hello\n"), { mode: 0o644 });
 * ```
 */
export async function putFile(
  context: Context,
  remotePath: string,
  source: FileSource,
  options: PutFileOptions = {},
): Promise<Transfer> {
  checkRemotePath(remotePath, context);
  const checked = readOptions("put a file", options, TRANSFER_OPTIONS);
  const { signal, timeoutMs, onProgress, mode, owner, times, resume, sync } = checked;
  // Node before 17.3 has no throwIfAborted().
  if (signal?.aborted === true) throw signal.reason;
  const opened = await openSource(source);
  const control = new Receiver<SinkReady>(context.router, { respondent: context });
  const giveUp = newAbortEnd();
  let sender: Sender<unknown> | undefined;
  let isSent = false;
  let sending: Promise<void> | undefined;
  try {
    const call = context
      .with({ signal, timeoutMs })
      .call(WRITE_FILE, remotePath, control.toSender(), { mode, owner, times, resume, sync });
    const failed = call.then(() => {
      throw unfinished(context);
    });
    failed.catch((error) => control.abort(error));
    const ready = checkSinkReady((await control.get()).decode(), context);
    [sender] = ready;
    sending = send(opened, sender, ready[1], onProgress, giveUp.signal);
    // A hung target takes nothing. The call reports its end, or ours.
    await Promise.race([sending, failed]).catch(async (error) => {
      // The call gives the reason why the target takes no more.
      if (error instanceof ChannelError) await call;
      throw error;
    });
    isSent = true;
    return await call;
  } finally {
    control.close();
    giveUp.abort(new ChannelError(`The transfer to ${context.name} has ended`));
    if (!isSent) sender?.close();
    opened.interrupt();
    const close = (): Promise<void> => opened.close();
    // The source is not closed while it is being read.
    const closed = sending === undefined ? close() : sending.then(close, close);
    if (isSent || sending === undefined) await closed;
    else closed.catch(() => undefined);
  }
}

/**
 * Checks the child's answer, which names the sender to use. It must lead to the child itself, because nobody
 * else may get the file.
 */
function checkSinkReady(value: unknown, context: Context): SinkReady {
  const [sender, offer] = (Array.isArray(value) ? value : []) as unknown as Partial<SinkReady>;
  if (
    sender instanceof Sender &&
    sender.contextId === context.contextId &&
    isCount(offer?.bytes) &&
    typeof offer?.sha256 === "string"
  ) {
    return [sender, offer];
  }
  throw new ProtocolError(`Cannot send a file to ${context.name}: its answer is malformed`);
}

async function openSource(source: FileSource): Promise<Source> {
  if (typeof source === "string") return await openFile(source);
  if (isMadeBy(URL, source)) return await openFile(fileURLToPath(source));
  if (isMadeBy(Uint8Array, source)) return new StreamSource([source], source.length);
  const isIterable = attempt(
    () =>
      typeof source === "object" &&
      source !== null &&
      (Symbol.asyncIterator in source || Symbol.iterator in source),
  );
  if (isIterable === true) return new StreamSource(source);
  throw misuse(
    "ERR_INVALID_ARG_TYPE",
    `Cannot read a file from ${show(source)}: a path, a file: URL, bytes or a stream was expected`,
  );
}
