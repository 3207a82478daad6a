import { History } from "../../bootstrap/history.ts";
import { BROKER_FAILED_CODE, MARK_FAILED } from "../../bootstrap/ready.ts";
import type { LinkEvents } from "../../links/link.ts";
import { TracedLink } from "../../links/traced-link.ts";
import type { Traffic } from "../../links/traffic.ts";
import { getLogger } from "../../logging/log.ts";
import { type ProcessExit, printExit } from "../../process/process-exit.ts";
import { Deferred } from "../../waiting/deferred.ts";
import { monotonicMs } from "../../waiting/monotonic.ts";
import type { Frame } from "../../wire/frame.ts";
import { crashHint } from "../failures/exit-hint.ts";
import type { Connected } from "./connect-attempt.ts";
import type { ToolProcess } from "./tool-process.ts";

/** While fewer bytes than this are queued, `send` returns true and `drained` resolves. */
const HIGH_WATER_BYTES = 1024 * 1024;
/** A tool, or the far side through it, may write many lines at once. Only this many of them are logged. */
const MAX_STDERR_LINES = 100;
/**
 * The most that the pipes of an exited process can hold. If more arrives, another process writes it, and
 * reading stops.
 */
const MAX_LEFT_BYTES = 1024 * 1024;
/** How long a link that has ended waits for the exit of the process, which explains the end. */
const EXPLAIN_MS = 250;
/**
 * Grace period of a process whose link has ended. It has nothing more to do, but may need a moment to end the
 * contexts below it.
 */
const BROKEN_GRACE_MS = 3500;
/** The child's broker thread starts after the greeting and may fail then, but not later than this. */
const YOUNG_MS = 10_000;
/** Grace period of the tool of a detached child, such as ssh. The tool ends when the child's shell does. */
const DETACHED_GRACE_MS = 3000;
/** Grace period of a child that was given up because it is silent or sends junk. */
const ABORTED_GRACE_MS = 50;

/** The most characters that are kept of a farewell. */
export const FAREWELL_CHARACTERS = 8192;
const LINE_FEED = 0x0a;

/** Internals of a Node stream, which Node's own timeouts use as well. */
interface StreamHandle {
  readonly bytesWritten: number;
  readonly writeQueueSize: number;
}

const log = getLogger("mitogen.connect");

/** The link to a child of this process. It also ends the child's process. */
export class ChildLink extends TracedLink {
  /** The reason that the child gave in its farewell, if it sent one. */
  farewell: string | undefined;
  /** Whether the child was detached. This process then no longer cares how the child ends. */
  isDetached = false;
  #isPaused = false;
  /** How many more bytes are read from a paused child that has exited. */
  #leftBytes = MAX_LEFT_BYTES;
  /** When the last bytes arrived, in milliseconds since the epoch. */
  lastHeardAt: number = Date.now();
  #messagesSent = 0;
  #messagesReceived = 0;
  readonly #tool: ToolProcess;
  /** How the last line of a child begins whose broker thread fails. */
  readonly #failed: Buffer;
  /** Whether the process is the child itself, and not a tool such as ssh or sudo. */
  readonly #isDirect: boolean;
  readonly #youngUntil: number = monotonicMs() + YOUNG_MS;
  /** The last output of the tool, and of the waiting shell. */
  readonly #stderr: History = new History();
  readonly #closed: Deferred<void> = new Deferred();
  /** Callers of `drained`. */
  readonly #waiting: Set<() => void> = new Set();
  #isEnding = false;
  #isAborted = false;
  #reaped: Promise<void> = Promise.resolve();

  constructor(
    name: string,
    { tool, nonce }: Pick<Connected, "tool" | "nonce">,
    maxMessageBytes: number,
    isDirect: boolean,
  ) {
    super(name, tool.stdout, tool.stdin, maxMessageBytes);
    this.#tool = tool;
    this.#failed = Buffer.from(`\n${nonce}${MARK_FAILED}`);
    this.#isDirect = isDirect;
    for (const event of ["drain", "close"]) tool.stdin.on(event, () => this.wakeWaiting());
    // After the connect, stderr carries only the messages of tools such as ssh and sudo. The child's own
    // stderr travels as log records.
    tool.stderr.on("data", (chunk: Buffer) => {
      const lines = this.#stderr.push("stderr", chunk).filter((line) => line !== "");
      const left = lines.length - MAX_STDERR_LINES;
      if (left > 0) lines.splice(MAX_STDERR_LINES, left, `… and ${left} more lines`);
      for (const line of lines) {
        // A shell prints "Terminated" when a child was asked to end. Lines with `debug1:` appear only if ssh
        // was asked for them.
        if (this.#isEnding || this.isDetached || /^debug[1-3]: /.test(line)) log.debug(`${name}: ${line}`);
        else log.info(`${name}: ${line}`);
      }
    });
  }

  override open(events: LinkEvents): void {
    super.open({
      onFrame: (frame) => {
        this.#messagesReceived += 1;
        events.onFrame(frame);
      },
      onBytes:
        events.onBytes &&
        ((...bytes) => {
          const isPassed = events.onBytes?.(...bytes) === true;
          if (isPassed) this.#messagesReceived += 1;
          return isPassed;
        }),
      onClosed: (reason) => {
        void this.explain(reason).then((explained) => {
          events.onClosed(explained);
          this.#closed.resolve();
        });
      },
      onDrained: () => events.onDrained?.(),
    });
  }

  override receive(chunk: Buffer): boolean {
    this.lastHeardAt = Date.now();
    // Node keeps reading after a process has exited, so that the end of the stream is noticed. A hostile
    // child may leave a process behind that keeps writing.
    if (this.#isPaused && this.hasExited) {
      this.#leftBytes -= chunk.length;
      if (this.#leftBytes < 0) super.pause();
    }
    return super.receive(chunk[chunk.length - 1] === LINE_FEED ? this.withoutFailure(chunk) : chunk);
  }

  /** Takes the line off the end of a chunk with which the child says why its broker thread fails. */
  private withoutFailure(chunk: Buffer): Buffer {
    const start = chunk.indexOf(this.#failed);
    if (start < 0) return chunk;
    const text = chunk.toString("utf8", start + this.#failed.length, chunk.length - 1);
    this.farewell = text.slice(0, FAREWELL_CHARACTERS);
    return chunk.subarray(0, start);
  }

  override pause(): void {
    this.#isPaused = true;
    if (!this.hasExited || this.#leftBytes < 0) super.pause();
  }

  override resume(): void {
    this.#isPaused = false;
    super.resume();
  }

  private get hasExited(): boolean {
    return this.#tool.exit !== undefined;
  }

  /**
   * A number that changes while the peer lives: the bytes that it has taken if bytes are queued for it, or
   * else the bytes that have come from it. NaN while the link is paused.
   */
  get lifeSign(): number {
    if (this.queuedBytes === 0) return this.#isPaused ? Number.NaN : this.#tool.stdout.bytesRead;
    // Node counts bytes as written once libuv has them. libuv may hold many bytes that the peer has not
    // taken.
    const { _handle: handle } = this.#tool.stdin as unknown as { _handle: StreamHandle | null };
    return handle === null ? 0 : handle.bytesWritten - handle.writeQueueSize;
  }

  override send(frame: Frame): boolean {
    this.#messagesSent += 1;
    return super.send(frame);
  }

  override sendBytes(bytes: Buffer, start: number, end: number): boolean {
    const isSent = super.sendBytes(bytes, start, end);
    if (isSent) this.#messagesSent += 1;
    return isSent;
  }

  drained(): Promise<void> {
    return new Promise((resolve) => {
      this.#waiting.add(resolve);
      this.wakeWaiting();
    });
  }

  private wakeWaiting(): void {
    if (this.queuedBytes >= HIGH_WATER_BYTES && !this.#tool.stdin.destroyed) return;
    for (const wake of this.#waiting) wake();
    this.#waiting.clear();
  }

  /** Messages, and the bytes that the operating system has taken and given, including payload and noise. */
  get traffic(): Traffic {
    return {
      bytesSent: this.#tool.stdin.bytesWritten + this.directBytes,
      bytesReceived: this.#tool.stdout.bytesRead,
      messagesSent: this.#messagesSent,
      messagesReceived: this.#messagesReceived,
    };
  }

  /**
   * Ends a child that has been sent SHUTDOWN. Resolves when its process is reaped and `onClosed` was called.
   * Until then both directions stay open, because the last messages of the child and of contexts behind it
   * are still to come.
   */
  async end(graceMs: number): Promise<void> {
    this.#isEnding = true;
    if (!this.isDetached) await this.#tool.end(graceMs);
    // Whether the process was reaped or given up, nothing more will come from it.
    this.abort(`${this.name}: was shut down`);
    await this.#closed.promise;
  }

  override abort(reason: string): void {
    this.#isAborted = true;
    super.abort(reason);
  }

  /** Resolves when `onClosed` was called and the process is reaped. */
  get gone(): Promise<void> {
    return this.#closed.promise.then(() => this.#reaped);
  }

  /** Resolves when the process of an ended link has been reaped. */
  get reaped(): Promise<void> {
    return this.#reaped;
  }

  private async explain(reason: string): Promise<string> {
    if (this.isDetached) {
      // Not awaited: a detached child may live for ever.
      void this.#tool.abandon(this.#isDirect ? undefined : DETACHED_GRACE_MS);
      return `${this.name}: was detached`;
    }
    if (this.#isAborted) {
      this.#reaped = this.#tool.end(ABORTED_GRACE_MS);
      return reason;
    }
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<undefined>((resolve) => {
      timer = setTimeout(() => resolve(undefined), EXPLAIN_MS);
    });
    const exit = await Promise.race([this.#tool.exited, late]);
    clearTimeout(timer);
    this.#reaped = this.#tool.end(BROKEN_GRACE_MS);
    if (this.#isEnding) return `${this.name}: was shut down`;
    if (this.farewell !== undefined) return `${this.name}: ${this.farewell}`;
    if (exit === undefined) return reason;
    if (exit.code === BROKER_FAILED_CODE)
      return `${this.name}: the broker thread failed, probably for lack of memory`;
    return `${this.name}: disconnected, the process ${printExit(exit)}${await this.lastWords(exit)}`;
  }

  /**
   * The last output of a child that ends soon after its greeting: its node started, but may not have found
   * what it needs.
   */
  private async lastWords({ code }: ProcessExit): Promise<string> {
    if (monotonicMs() > this.#youngUntil) return "";
    await this.#tool.drained();
    const text = this.#stderr.toString();
    const hint = crashHint(text, code);
    return hint === "" ? "" : `; ${hint}\n${text}`;
  }
}
