import { once } from "node:events";
import { MessageChannel, type MessagePort, Worker, type WorkerOptions } from "node:worker_threads";
import { brotliDecompressSync } from "node:zlib";
import { payloadBytes } from "../../bootstrap/payload.ts";
import { PROTOCOL_VERSION, type Ready } from "../../bootstrap/ready.ts";
import { THREAD_PART } from "../../bootstrap/thread.generated.ts";
import { StreamError } from "../../errors.ts";
import type { LinkEvents } from "../../links/link.ts";
import { ThreadLink } from "../../links/thread-link.ts";
import { type ControlMessage, newThreadState, raise, Word } from "../../links/thread-state.ts";
import { NO_TRAFFIC, type Traffic } from "../../links/traffic.ts";
import { getLogger } from "../../logging/log.ts";
import { limitHint } from "../../process/system-limits.ts";
import { Deferred } from "../../waiting/deferred.ts";
import { headOf } from "../../wire/values/thrown.ts";
import type { ConnectOptions } from "./method.ts";

/** Options of `router.thread()`; a thread has no node and no start-up of its own. */
export type ThreadOptions = Pick<ConnectOptions, "name" | "unidirectional" | "via" | "debug">;

/** How long a thread may take to end when asked; one that hangs is terminated then. */
const END_MS = 300;
/** How long a termination may take: a thread inside a system call cannot be interrupted. */
const TERMINATE_MS = 3000;

const log = getLogger("mitogen.connect");

/**
 * The link to a context in a worker thread of this process: the counterpart of the original's fork. It shares the process, so it cannot
 * change its directory or its user, and what its subprocesses print goes where this process prints. A thread that hangs in a
 * system call cannot be ended before that returns.
 */
export class ThreadChild extends ThreadLink {
  farewell: string | undefined;
  /** Nothing of it is counted: no bytes leave the process. */
  readonly traffic: Traffic = NO_TRAFFIC;
  readonly #worker: Worker;
  readonly #port: MessagePort;
  readonly #words: Int32Array;
  readonly #closed: Deferred<void> = new Deferred();
  #deadline: NodeJS.Timeout | undefined;
  #isEnding = false;

  constructor(name: string, port: MessagePort, words: Int32Array, worker: Worker) {
    super(port, words, name);
    this.#worker = worker;
    this.#port = port;
    this.#words = words;
    this.onLeft = () => {
      const frames = this.answers.rescue();
      if (frames !== undefined) this.receive(frames);
    };
    // It may be given up before it is opened.
    worker.once("exit", () => {
      clearTimeout(this.#deadline);
      this.#closed.resolve();
    });
  }

  override open(events: LinkEvents): void {
    super.open(events);
    this.#port.on("message", (message: ControlMessage) => this.onControl(message));
    this.#port.unref();
    this.#worker.on("error", (error) => {
      this.farewell = `uncaught exception: ${headOf(error)}`;
    });
    this.#worker.once("exit", (code) => {
      this.#port.close();
      this.close();
      const how = this.#isEnding ? "was shut down" : (this.farewell ?? `the thread exited with code ${code}`);
      events.onClosed(`${this.name}: ${how}`);
    });
  }

  /** Resolves when `onClosed` was called, or the thread was told to end in vain. */
  get gone(): Promise<void> {
    return this.#closed.promise;
  }

  /** Sees a thread that has been sent SHUTDOWN to its end, hung or not; resolves when it is over. */
  async end(): Promise<void> {
    this.#isEnding = true;
    const timer = setTimeout(() => this.terminate(), END_MS);
    await this.#closed.promise;
    clearTimeout(timer);
  }

  override abort(): void {
    super.abort();
    this.terminate();
  }

  private terminate(): void {
    void this.#worker.terminate();
    this.#deadline ??= setTimeout(() => {
      log.error(
        `${this.name}: the thread could not be ended within ${TERMINATE_MS} ms, it is inside a system call`,
      );
      this.#closed.resolve();
    }, TERMINATE_MS);
  }

  private onControl({ frames, exitReason }: ControlMessage): void {
    if (frames !== undefined) {
      this.receive(frames);
      Atomics.sub(this.#words, Word.POSTED, 1);
    }
    if (exitReason !== undefined) {
      this.farewell = exitReason;
      raise(this.#words, Word.FLUSHED);
    }
    this.noteRead();
  }
}

/**
 * Starts a thread; it has no greeting to wait for. The first frame sent must be its configuration. Rejects with a StreamError when the system
 * has no room for another thread.
 */
export async function startThreadChild(name: string): Promise<{ child: ThreadChild; ready: Ready }> {
  const { port1, port2 } = new MessageChannel();
  const words = newThreadState();
  const source = brotliDecompressSync(payloadBytes()).toString();
  const worker = await startWorker(source, {
    eval: true,
    workerData: { port: port2, words, part: Buffer.from(THREAD_PART, "base64") },
    transferList: [port2],
    // Only the thread needs it; our own process may have been started without.
    execArgv: ["--experimental-vm-modules"],
  } as WorkerOptions);
  worker.unref();
  const { versions, platform, arch, pid } = process;
  return {
    child: new ThreadChild(name, port1, words, worker),
    ready: { protocolVersion: PROTOCOL_VERSION, nodeVersion: versions.node, platform, arch, pid },
  };
}

/** Resolves when it runs: what a thread lacks from the start it tells a little later. */
async function startWorker(source: string, options: WorkerOptions): Promise<Worker> {
  try {
    const worker = new Worker(`${source}\n(require)`, options);
    await once(worker, "online");
    return worker;
  } catch (error) {
    const hint = limitHint(error);
    const message = `Cannot connect with thread(): the thread could not be started: ${(error as Error).message}`;
    throw new StreamError(hint === "" ? message : `${message}; ${hint}`, { cause: error });
  }
}
