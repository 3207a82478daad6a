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

/** Options of `router.thread()`. A thread has no node and no start-up of its own. */
export type ThreadOptions = Pick<
  ConnectOptions,
  "name" | "signal" | "unidirectional" | "via" | "debug" | "profiling"
>;

/** How long a thread may take to end when asked. A thread that hangs is then terminated. */
const END_MS = 300;
/** How long a termination may take. A thread inside a system call cannot be interrupted. */
const TERMINATE_MS = 3000;

const log = getLogger("mitogen.connect");

/**
 * The link to a context in a worker thread of this process: the counterpart of Mitogen's fork. The thread
 * shares the process, so it cannot change its directory or its user, and its subprocesses print where this
 * process prints. A thread that hangs in a system call cannot be ended before the call returns.
 */
export class ThreadChild extends ThreadLink {
  farewell: string | undefined;
  /** Always zero, because no bytes leave the process. */
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
    // Registered here, because the thread may be given up before it is opened.
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

  /** Resolves when `onClosed` was called, or when the thread could not be terminated in time. */
  get gone(): Promise<void> {
    return this.#closed.promise;
  }

  /** Ends a thread that has been sent SHUTDOWN, even if it hangs. Resolves when it has ended. */
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
        `${this.name}: the thread could not be ended within ${TERMINATE_MS} ms: it is inside a system call`,
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
      // The code that says so also runs in processes.
      this.farewell = exitReason.replace(/^the process /, "the thread ");
      raise(this.#words, Word.FLUSHED);
    }
    this.noteRead();
  }
}

/**
 * Starts a thread. A thread sends no greeting. The first frame sent to it must be its configuration. Rejects
 * with a StreamError if the system has no room for another thread.
 */
export async function startThreadChild(name: string): Promise<{ child: ThreadChild; ready: Ready }> {
  const { port1, port2 } = new MessageChannel();
  const words = newThreadState();
  const source = brotliDecompressSync(payloadBytes()).toString();
  const worker = await startWorker(source, {
    eval: true,
    workerData: { port: port2, words, part: Buffer.from(THREAD_PART, "base64") },
    transferList: [port2],
    // Only the thread needs this flag; this process may have been started without it.
    execArgv: ["--experimental-vm-modules"],
  } as WorkerOptions);
  worker.unref();
  const { versions, platform, arch, pid } = process;
  return {
    child: new ThreadChild(name, port1, words, worker),
    ready: { protocolVersion: PROTOCOL_VERSION, nodeVersion: versions.node, platform, arch, pid },
  };
}

/**
 * Resolves when the thread runs. A thread that lacks resources from the start fails a little later than its
 * constructor.
 */
async function startWorker(source: string, options: WorkerOptions): Promise<Worker> {
  try {
    const worker = new Worker(`${source}\n(require)`, options);
    // A module that NODE_OPTIONS preloads may end it before it runs.
    const exited = new Promise<never>((_resolve, reject) => {
      // A turn later, because the event of an error may come after this one.
      worker.once("exit", (code) => setImmediate(reject, new Error(`it ended with exit code ${code}`)));
    });
    await Promise.race([once(worker, "online"), exited]);
    return worker;
  } catch (error) {
    const hint = limitHint(error);
    const message = `Cannot connect with thread(): the thread could not be started: ${(error as Error).message}`;
    throw new StreamError(hint === "" ? message : `${message}; ${hint}`, { cause: error });
  }
}
