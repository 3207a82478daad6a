import { promises as fs } from "node:fs";
import { sep } from "node:path";
import type { Context } from "../core/context.ts";
import type { Message } from "../core/message.ts";
import { hasParentAuthority } from "../core/policy.ts";
import { Receiver } from "../core/receiver.ts";
import type { CoreRouter } from "../core/router.ts";
import { Sender } from "../core/sender.ts";
import { ProtocolError } from "../errors.ts";
import { getLogger } from "../logging/log.ts";
import { text, WAIT_OPTIONS } from "../options/option-types.ts";
import { checkRouter, type OptionTable, readOptions, takeOption } from "../options/options.ts";
import { AllowAny, AllowParents } from "../service/exposed.ts";
import type { Invoker } from "../service/invoker.ts";
import { ofLibrary } from "../service/request.ts";
import { type Exposed, Service } from "../service/service.ts";
import type { WaitOptions } from "../waiting/wait.ts";
import { messageOf } from "../wire/values/thrown.ts";
import { accountNames } from "./account-names.ts";
import { fileFault } from "./ends/file-error.ts";
import { type FileMetadata, isMetadata } from "./ends/metadata.ts";
import { type OpenedFile, openFile } from "./ends/source.ts";
import { checkRemotePath, type FileSinkTarget, openSink } from "./get-file.ts";
import { Outgoing } from "./outgoing.ts";
import { noteTransfer, TransferTurns } from "./transfer-turns.ts";

/** The metadata of a file, which a requester gets before the bytes. */
export interface ServedMetadata extends FileMetadata {
  /** Null for an id without a name on the serving machine. */
  readonly owner: string | null;
  /** Null for an id without a name on the serving machine. */
  readonly group: string | null;
}

/** The result of `FileService.get`. */
export interface Fetched {
  /** False if fewer or more bytes came than were announced. */
  readonly ok: boolean;
  /** The file's metadata, which the service sent before the bytes. */
  readonly metadata: ServedMetadata;
}

/** Options of a {@link FileService}. */
export interface FileServiceOptions {
  /** A transfer ends if its reader takes nothing for this long, in milliseconds; 300,000 by default. */
  readonly stallMs?: number | undefined;
}

/** A reader that takes 512 KiB in this time, over a shared link, is slow but not dead. */
const DEFAULT_STALL_MS = 300_000;
const FILE_SERVICE_OPTIONS: OptionTable<FileServiceOptions> = {
  stallMs: {
    wanted: "a number of milliseconds, more than 0",
    take(value, refuse) {
      if (typeof value !== "number") throw refuse("ERR_INVALID_ARG_TYPE");
      if (!(value > 0)) throw refuse("ERR_OUT_OF_RANGE");
      return value;
    },
  },
};

const log = getLogger("mitogen.files");

/**
 * Serves files of this context to other contexts: registered files to all, any file to contexts above. Put it into a
 * {@link Pool}. At most eight files at once go to one context, and 128 in all; other requests wait for their turn. See
 * docs/files.md.
 *
 * ```ts
 * const files = new FileService(router);
 * new Pool(router, [files]);
 * await files.register({ path: "/srv/app/release.tar" });
 * ```
 */
export class FileService extends Service {
  /** @internal */
  static override serviceName = "mitogen.FileService";
  /** @internal */
  static override invoker: new () => Invoker = TransferTurns;
  /** @internal */
  static override exposed: Readonly<Record<string, Exposed>> = {
    register: { allow: AllowParents, args: { path: "string" } },
    registerPrefix: { allow: AllowParents, args: { path: "string" } },
    fetch: { allow: AllowAny, args: { path: "string", sender: Sender } },
  };

  readonly #paths: Set<string> = new Set();
  readonly #prefixes: Set<string> = new Set();
  readonly #transfers: Set<Outgoing> = new Set();
  readonly #stallMs: number;

  /** Throws a RangeError unless `stallMs` is more than 0. */
  constructor(router: CoreRouter, options: FileServiceOptions = {}) {
    const what = "make a FileService";
    checkRouter(what, router);
    super(router);
    this.#stallMs = readOptions(what, options, FILE_SERVICE_OPTIONS).stallMs ?? DEFAULT_STALL_MS;
  }

  /** Lets every context fetch a file. Rejects with Node's error if there is no such file. */
  async register(given: { path: string }): Promise<void> {
    this.#paths.add(await fs.realpath(pathOf("register a file", given)));
  }

  /** Lets every context fetch the files below a folder. Rejects with Node's error if there is no such folder. */
  async registerPrefix(given: { path: string }): Promise<void> {
    const folder = await fs.realpath(pathOf("register a folder", given));
    this.#prefixes.add(folder.endsWith(sep) ? folder : folder + sep);
  }

  /** Answers a file's metadata, then sends its bytes, then closes. The sender must be the requester's own. @internal */
  async fetch(
    { path, sender }: { path: string; sender: Sender<unknown> },
    message: Message,
  ): Promise<ServedMetadata> {
    // A context must not have files sent to another one.
    if (sender.contextId !== message.srcId) {
      throw refused(path, `the sender is of context ${sender.contextId}, not of context ${message.srcId}`);
    }
    const source = await this.openFor(path, message);
    try {
      const { uid, gid } = source.metadata;
      const metadata = { ...source.metadata, ...(await accountNames(uid, gid)) };
      // After the answer, so that a refused requester has nothing to clean up.
      const over = new Promise<void>((resolve) => {
        setImmediate(() => resolve(this.serve(source, sender, path)));
      });
      noteTransfer(message, over);
      return metadata;
    } catch (error) {
      await source.close();
      throw error;
    }
  }

  /** Ends all transfers; whoever receives sees that too few bytes came. @internal */
  override onShutdown(): void {
    for (const transfer of this.#transfers) transfer.end("The file service has ended");
  }

  /** Opens a file by its real path, so that neither `..` nor links lead out of the registered files. */
  private async openFor(path: string, message: Message): Promise<OpenedFile> {
    if (hasParentAuthority(message)) return await openFile(path);
    const real = await fs.realpath(path).catch(() => undefined);
    // The refusal must not reveal whether the file exists.
    if (real === undefined || !this.isRegistered(real)) throw refused(path, "it is not registered");
    return await openFile(real);
  }

  private isRegistered(real: string): boolean {
    return this.#paths.has(real) || [...this.#prefixes].some((prefix) => real.startsWith(prefix));
  }

  private async serve(source: OpenedFile, sender: Sender<unknown>, path: string): Promise<void> {
    const transfer = new Outgoing(sender, this.#stallMs);
    this.#transfers.add(transfer);
    try {
      for await (const chunk of source.chunks(0)) await transfer.send(chunk);
    } catch (error) {
      log.error(`Cannot send ${path} to context ${sender.contextId}: ${messageOf(error)}`);
    } finally {
      this.#transfers.delete(transfer);
      transfer.end(`The sender in context ${this.router.contextId} was closed`);
      await source.close();
    }
  }

  /**
   * Fetches a file from the service in `context`. A file appears under a `sink` that is a path only if all of it came.
   * Rejects with a CallError if the service refuses the file or cannot open it. If fewer or more bytes came than were
   * announced, logs an ERROR and resolves with `ok` false.
   */
  static async get(
    context: Context,
    path: string,
    sink: FileSinkTarget,
    given: WaitOptions = {},
  ): Promise<Fetched> {
    checkRemotePath(path, context);
    const options = readOptions("fetch a file", given, WAIT_OPTIONS);
    const receiver = new Receiver<unknown>(context.router, { respondent: context });
    try {
      const request = { path, sender: receiver.toSender() };
      const metadata = await context.with(options).callService(FileService.serviceName, "fetch", request);
      if (!isMetadata(metadata)) {
        throw new ProtocolError(`Cannot fetch ${path} from ${context.name}: its answer is malformed`);
      }
      const bytes = await drain(receiver, sink, metadata, options);
      const ok = bytes === metadata.size;
      if (!ok) {
        log.error(
          `Fetched ${path} from ${context.name}: ${bytes} bytes came, ${metadata.size} were announced`,
        );
      }
      return { ok, metadata: metadata as ServedMetadata };
    } finally {
      receiver.close();
    }
  }
}

/**
 * Writes the bytes until the sender closes, and returns their number. One byte more than announced stands for
 * any excess.
 */
async function drain(
  receiver: Receiver<unknown>,
  target: FileSinkTarget,
  metadata: FileMetadata,
  options: WaitOptions,
): Promise<number> {
  const { size } = metadata;
  const sink = await openSink(target, { resume: false });
  let bytes = 0;
  try {
    await sink.begin({ at: 0, size, metadata });
    for (;;) {
      const message = await receiver.get({ ...options, throwDead: false });
      const chunk = message.isDead ? undefined : message.decode();
      if (!(chunk instanceof Uint8Array)) break;
      bytes += chunk.length;
      if (bytes > size) break;
      await sink.write(chunk);
    }
  } catch (error) {
    await sink.abandon(error);
    throw error;
  }
  if (bytes === size) await sink.commit();
  else await sink.abandon(undefined);
  return bytes;
}

ofLibrary(FileService, "FileService");

function refused(path: string, why: string): Error {
  return fileFault("ERR_FILE_REFUSED", `Cannot serve ${path}: ${why}`, path, "source");
}

function pathOf(what: string, given: { readonly path?: unknown } | undefined): string {
  return takeOption(what, "path", given?.path, text);
}
