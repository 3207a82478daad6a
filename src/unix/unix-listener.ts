import { createServer, type Server, type Socket } from "node:net";
import { resolve } from "node:path";
import { configFrame } from "../bootstrap/config-frame.ts";
import { Router } from "../connection/router.ts";
import { TracedLink } from "../links/traced-link.ts";
import { listenAt, temporarySocketPath } from "../links/unix-socket.ts";
import { getLogger, logLevel } from "../logging/log.ts";
import { anyText } from "../options/option-types.ts";
import { isMadeBy, type OptionTable, readOptions } from "../options/options.ts";
import { reaper } from "../process/reaper.ts";
import { nameLimit } from "../process/system-limits.ts";
import { encodeFrame } from "../wire/frame.ts";
import { acceptCalls } from "./local-calls.ts";
import { MAX_HELLO_BYTES, parseHello, versionRefusal } from "./unix-handshake.ts";

/** Options of {@link listen}. */
export interface ListenOptions {
  /** The path of the socket. By default a new name in the folder for temporary files. */
  readonly path?: string | undefined;
}

/** How long a program that connects may take to identify itself. */
const HELLO_TIMEOUT_MS = 10_000;
/** When the listener closes, how long a client may take to read the bytes queued for it and to leave. */
const CLOSE_MS = 500;
/** The most connections that have not identified themselves. */
const MAX_STRANGERS = 100;
/** The most connected programs. Each takes a descriptor. */
export const MAX_CLIENTS = 256;

const LISTEN_OPTIONS: OptionTable<ListenOptions> = { path: anyText };

const log = getLogger("mitogen.unix");

/**
 * Lets other programs of this user, on this machine, {@link connect} to this one. They become contexts of
 * `router` and speak with this program's own authority. They may call functions here and in every context;
 * nobody may call functions in them.
 *
 * Anybody who can open the socket can do whatever this program may do. So its mode is 0600, and its folder
 * must belong to this user and not be writable by others. Node cannot find out who is at the other end. The
 * listener does not keep the program alive; {@link UnixListener.wait} does. Throws a StreamError if it cannot
 * listen there, and a CancelledError if the router has been shut down.
 *
 * ```ts
 * const listener = listen(router, { path: "/run/user/1000/deploy.sock" });
 * await listener.wait();
 * ```
 */
export function listen(router: Router, options: ListenOptions = {}): UnixListener {
  if (!isMadeBy(Router, router)) {
    throw new TypeError(
      "Cannot listen: the router must be one that this program has made, not the router that connect() returned",
    );
  }
  const { path = temporarySocketPath() } = readOptions("listen", options, LISTEN_OPTIONS);
  return new UnixListener(router, path);
}

/** A Unix socket at which other programs of this user may {@link connect}. Made by {@link listen}. */
export class UnixListener {
  /** The path of the socket. */
  readonly path: string;
  readonly #router: Router;
  readonly #server: Server;
  readonly #strangers: Set<Socket> = new Set();
  readonly #links: Set<TracedLink> = new Set();
  readonly #undo: (() => void)[];
  #closed: Promise<void> | undefined;

  /** See {@link listen}. @internal */
  constructor(router: Router, path: string) {
    this.path = path;
    this.#router = router;
    this.#server = createServer((socket) => this.greet(socket));
    this.#server.on("error", (error) => log.error(`${path}: ${nameLimit(error).message}`));
    const disown = router.own({ shutdown: () => this.close() }, `listen at ${path}`);
    const remove = this.open(disown);
    this.#server.unref();
    process.once("exit", remove);
    router.takeCalls(() => acceptCalls(router));
    // The reaper removes the socket, because a signal that ends the program runs no handler.
    const forget = reaper.add(resolve(path));
    this.#undo = [remove, () => process.off("exit", remove), forget, disown];
  }

  /** Removes the socket and ends the connections. Idempotent, never rejects. */
  close(): Promise<void> {
    this.#closed ??= this.end();
    return this.#closed;
  }

  /** The same as {@link close}. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /** Resolves when the listener is closed, by `close` or the router's shutdown. Keeps the program alive until then. */
  async wait(): Promise<void> {
    const { broker } = this.#router;
    broker.hold();
    await new Promise<void>((done) => {
      if (this.#server.listening) this.#server.once("close", done);
      else done();
    });
    broker.release();
  }

  private open(disown: () => void): () => void {
    try {
      return listenAt(this.#server, this.path);
    } catch (error) {
      disown();
      throw error;
    }
  }

  private async end(): Promise<void> {
    for (const undo of this.#undo) undo();
    for (const socket of this.#strangers) socket.destroy();
    const closed = new Promise((done) => this.#server.close(done));
    for (const link of this.#links) link.close();
    const timer = setTimeout(() => {
      for (const link of this.#links) link.abort(`${link.name}: did not leave when the listener was closed`);
    }, CLOSE_MS);
    await closed;
    clearTimeout(timer);
  }

  /** Handles a new connection. Nothing is trusted before its first line is complete. */
  private greet(socket: Socket): void {
    if (this.#strangers.size >= MAX_STRANGERS) {
      log.warning(`${this.path}: refused a client: ${MAX_STRANGERS} others have not identified themselves`);
      socket.destroy();
      return;
    }
    this.#strangers.add(socket.unref());
    let heard = Buffer.alloc(0);
    let isRefused = false;
    const refuse = (why: string): void => {
      if (!isRefused) log.info(`${this.path}: a client was not let in: ${why}`);
      isRefused = true;
    };
    const leave = (why: string): void => {
      if (!this.#strangers.delete(socket)) return;
      clearTimeout(timer);
      refuse(why);
      socket.destroy();
    };
    const timer = setTimeout(
      () => leave(`no greeting within ${HELLO_TIMEOUT_MS} ms`),
      HELLO_TIMEOUT_MS,
    ).unref();
    const onData = (chunk: Buffer): void => {
      heard = Buffer.concat([heard, chunk]);
      const end = heard.indexOf("\n");
      const hello = end < 0 ? undefined : parseHello(heard.toString("latin1", 0, end));
      if (hello !== undefined) {
        socket.off("data", onData);
        const refusal = versionRefusal(hello.protocolVersion) ?? this.tooMany();
        if (refusal !== undefined) {
          // The client counts as a stranger until it leaves. If it never leaves, the timer and `close` end it, so
          // that it keeps neither its descriptor nor the listener open.
          refuse(refusal);
          socket.end(Buffer.concat(encodeFrame(this.#router.deadFrame(0, 0, refusal))));
          return;
        }
        this.#strangers.delete(socket);
        clearTimeout(timer);
        this.admit(socket, hello.pid, heard.subarray(end + 1));
      } else if (end >= 0 || heard.length > MAX_HELLO_BYTES) leave("it did not greet");
    };
    socket.on("data", onData);
    socket.on("end", () => leave("it left before its greeting was complete"));
    socket.on("close", () => leave("it left before its greeting was complete"));
    socket.on("error", (error) => leave(error.message));
  }

  private tooMany(): string | undefined {
    if (this.#links.size < MAX_CLIENTS) return undefined;
    return `${MAX_CLIENTS} programs are connected, which is the maximum`;
  }

  private admit(socket: Socket, pid: number, rest: Buffer): void {
    const { maxMessageBytes, unidirectional, contextId } = this.#router;
    const name = `unix_client.${pid}`;
    const link = new TracedLink(name, socket, socket, maxMessageBytes);
    this.#links.add(link);
    socket.once("close", () => this.#links.delete(link));
    const context = this.#router.admit(link, name, (id) =>
      configFrame({
        contextId: id,
        parentIds: [contextId],
        logLevel: logLevel(),
        maxMessageBytes,
        unidirectional,
        pid: process.pid,
      }),
    );
    log.debug(`${this.path}: ${name} is context ${context.contextId}`);
    link.receive(rest);
  }
}
