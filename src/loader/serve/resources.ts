import { constants } from "node:fs";
import { lstat, open, realpath } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Message } from "../../core/message.ts";
import { type ReadResource, readResourceWith, resourceError } from "../../core/resource.ts";
import type { CoreRouter } from "../../core/router.ts";
import type { Link } from "../../links/link.ts";
import { getLogger } from "../../logging/log.ts";
import { Handle } from "../../wire/handles.ts";
import { packageRoot } from "../resolve/package-scope.ts";
import { printable } from "./request-log.ts";
import { contentRefusal, fileRefusal, pathRefusal } from "./resource-policy.ts";

/** The largest resource. Larger files need a file transfer, which does not hold them in memory. */
const MAX_RESOURCE_BYTES = 16 * 1024 * 1024;
/** The bytes of a message besides the resource. */
const OVERHEAD_BYTES = 64;
/** The most requests of one context that may wait for their turn. Further ones are refused. */
const MAX_WAITING = 4096;
/** The most requests of all contexts together. */
const MAX_ALL_WAITING = 65_536;
const REFUSED = "ERR_RESOURCE_REFUSED";

const log = getLogger("mitogen.responder");

/** `resource()` in the program: reads from the disk what a context would get. */
export const resource: ReadResource = readResourceWith((id, path) =>
  readResource(id, path, MAX_RESOURCE_BYTES),
);

/** The requests of one context, which are answered one after the other. */
interface Turns {
  last: Promise<void>;
  waiting: number;
}

/**
 * Answers GET_RESOURCE: gives contexts the files beside modules that they were sent. A child may be hostile,
 * so its path is checked before the disk is touched, and again after links have been followed. For all
 * contexts behind a link, this process holds at most one resource in memory at a time, even if they flood it
 * with requests or do not read the answers.
 */
export class ResourceServer {
  readonly #router: CoreRouter;
  readonly #wasSent: (contextId: number, moduleId: string) => boolean;
  readonly #maxAllWaiting: number;
  readonly #turns: Map<number, Turns> = new Map();
  #waiting = 0;
  /** The last answer over each link. Contexts behind a link take turns. */
  readonly #links: WeakMap<Link, Promise<void>> = new WeakMap();

  constructor(
    router: CoreRouter,
    wasSent: (contextId: number, moduleId: string) => boolean,
    maxAllWaiting: number = MAX_ALL_WAITING,
  ) {
    this.#maxAllWaiting = maxAllWaiting;
    this.#router = router;
    this.#wasSent = wasSent;
    router.addHandler((message) => this.take(message), { handle: Handle.GET_RESOURCE, service: true });
  }

  private take(message: Message): void {
    const { srcId } = message;
    let turns = this.#turns.get(srcId);
    if (turns === undefined) {
      turns = { last: Promise.resolve(), waiting: 0 };
      this.#turns.set(srcId, turns);
    }
    if (turns.waiting >= MAX_WAITING || this.#waiting >= this.#maxAllWaiting) {
      const isOwn = turns.waiting >= MAX_WAITING;
      const what = isOwn ? `${MAX_WAITING} requests of this context` : `${this.#maxAllWaiting} requests`;
      message.reply([`Cannot read resource: ${what} are waiting`, REFUSED]);
      if (turns.waiting === 0) this.#turns.delete(srcId);
      return;
    }
    turns.waiting += 1;
    this.#waiting += 1;
    const own = turns;
    own.last = own.last
      .then(() => this.answerInTurn(message))
      .then(() => {
        own.waiting -= 1;
        this.#waiting -= 1;
        if (own.waiting === 0) this.#turns.delete(srcId);
      });
  }

  /** Answers when all earlier requests over the same link have been answered. */
  private answerInTurn(message: Message): Promise<void> {
    const link = this.#router.peerOf(message.srcId)?.link;
    if (link === undefined) return this.answer(message, undefined);
    const last = this.#links.get(link) ?? Promise.resolve();
    const answered = last.then(() => this.answer(message, link));
    this.#links.set(link, answered);
    return answered;
  }

  /** Never rejects. */
  private async answer(message: Message, link: Link | undefined): Promise<void> {
    try {
      await link?.drained?.();
      const [id, path] = parseRequest(message.decode());
      if (!this.#wasSent(message.srcId, id) || !id.startsWith("file:")) {
        throw failure(id, path, REFUSED, "the module was not sent to this context");
      }
      const limit = Math.min(MAX_RESOURCE_BYTES, this.#router.maxMessageBytes - OVERHEAD_BYTES);
      const bytes = await readResource(id, path, limit);
      log.debug(`Gave resource '${path}' of ${id} to ${message.context.name}: ${bytes.length} bytes`);
      message.reply(bytes);
    } catch (error) {
      const { message: reason, code = REFUSED } = error as NodeJS.ErrnoException;
      if (code === REFUSED) {
        // The reason quotes the child's request.
        log.warning(`Refused a resource to ${message.context.name}: ${printable(reason)}`);
      }
      message.reply([reason, code]);
    }
  }
}

function parseRequest(value: unknown): [id: string, path: string] {
  const [id, path] = Array.isArray(value) ? value : [];
  if (typeof id === "string" && typeof path === "string") return [id, path];
  throw resourceError("Cannot read resource: a request must be [module id, path]", REFUSED);
}

const reading = new Map<string, Promise<Buffer>>();

/**
 * Reads a resource. Requests for a file at the same time share one buffer, because the contexts of a fleet that
 * starts ask for the same file all at once.
 */
function readResource(id: string, path: string, maxBytes: number): Promise<Buffer> {
  const key = `${maxBytes} ${id}\0${path}`;
  let bytes = reading.get(key);
  if (bytes === undefined) {
    bytes = read(id, path, maxBytes).finally(() => reading.delete(key));
    reading.set(key, bytes);
  }
  return bytes;
}

async function read(id: string, path: string, maxBytes: number): Promise<Buffer> {
  if (!id.startsWith("file:")) throw failure(id, path, REFUSED, "the module has no file");
  const owner = fileURLToPath(id);
  const root = packageRoot(owner);
  if (root === undefined) {
    throw failure(id, path, REFUSED, "the module belongs to no package; add a package.json");
  }
  const file = join(dirname(owner), path);
  const early = pathRefusal(path, file, root);
  if (early !== undefined) throw failure(id, path, REFUSED, early);
  const found = await locate(file, await realpath(root));
  if ("refused" in found) throw failure(id, path, REFUSED, found.refused);
  if (found.file === undefined) throw failure(id, path, "ENOENT", "no such file");
  return await readFile(found.file, maxBytes, (code, why) => failure(id, path, code, why));
}

/**
 * Finds the real path of a file; `file` is undefined if there is none. If a link leads out of the package, the
 * answer must not reveal what is there. So for a missing file, the part of its path that exists is checked.
 */
async function locate(
  file: string,
  root: string,
): Promise<{ file: string | undefined } | { refused: string }> {
  for (let at = file; ; at = dirname(at)) {
    const real = await realpath(at).catch(() => undefined);
    if (real !== undefined) {
      const refused = real === root ? undefined : fileRefusal(real, root);
      return refused === undefined ? { file: at === file ? real : undefined } : { refused };
    }
    const isLink = await lstat(at).then(
      (stats) => stats.isSymbolicLink(),
      () => false,
    );
    if (isLink) return { refused: "it is a link that leads nowhere" };
  }
}

/** Reads a file. Opens it without following links, and without blocking, as the open of a named pipe would. */
async function readFile(
  file: string,
  maxBytes: number,
  failed: (code: string, why: string) => Error,
): Promise<Buffer> {
  const flags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
  const handle = await open(file, flags).catch(({ code }: NodeJS.ErrnoException) => {
    throw failed(code ?? "EIO", `it cannot be opened: ${code}`);
  });
  try {
    const stats = await handle.stat();
    if (!stats.isFile())
      throw failed("ENOENT", stats.isDirectory() ? "it is a directory" : "it is not a file");
    const tooLarge = (size: number): Error =>
      failed(
        "ERR_RESOURCE_TOO_LARGE",
        `it has ${size} bytes, more than ${maxBytes}; pass it with getFile() instead`,
      );
    if (stats.size > maxBytes) throw tooLarge(stats.size);
    const bytes = await handle.readFile();
    if (bytes.length > maxBytes) throw tooLarge(bytes.length); // The file has grown meanwhile.
    const refused = contentRefusal(bytes);
    if (refused !== undefined) throw failed(REFUSED, refused);
    return bytes;
  } finally {
    await handle.close();
  }
}

function failure(id: string, path: string, code: string, why: string): Error {
  const shown = path.length > 200 ? `${path.slice(0, 200)}…` : path;
  return resourceError(`Cannot read resource '${shown}' of ${id.slice(0, 500)}: ${why}`, code);
}
