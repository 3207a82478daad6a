import { History } from "../../bootstrap/history.ts";
import type { LinkEvents } from "../../links/link.ts";
import { TracedLink } from "../../links/traced-link.ts";
import type { Traffic } from "../../links/traffic.ts";
import { getLogger } from "../../logging/log.ts";
import { Deferred } from "../../waiting/deferred.ts";
import type { Frame } from "../../wire/frame.ts";
import { crashHint } from "./exit-hint.ts";
import { type Exit, printExit, type ToolProcess } from "./tool-process.ts";

/** Below this much queued `send` answers true, and who waits may go on. */
const HIGH_WATER_BYTES = 1024 * 1024;
/** What a tool writes at once, and what the far side writes through it, is logged up to so many lines. */
const MAX_STDERR_LINES = 100;
/** What the pipes of a process that has exited hold at the most. More comes from one that it has left: that can be stopped. */
const MAX_LEFT_BYTES = 1024 * 1024;
/** How long the end of the link waits for the exit that explains it. */
const EXPLAIN_MS = 250;
/** A process whose link has ended has nothing more to do, but it may take a moment to end those below it. */
const BROKEN_GRACE_MS = 3500;
/** Its broker thread starts after it was ready, and may fail then: not later than this. */
const YOUNG_MS = 10_000;
/** What a detached child was started by, such as ssh, ends when the child's shell does. */
const DETACHED_GRACE_MS = 3000;
/** One that was given up, because it is silent or sends junk, is not given that moment. */
const ABORTED_GRACE_MS = 50;

/** What Node keeps of a stream; its own timeouts look at it. */
interface StreamHandle {
  readonly bytesWritten: number;
  readonly writeQueueSize: number;
}

const log = getLogger("mitogen.connect");

/** The link to a child this process has started, and the end of that process. */
export class ChildLink extends TracedLink {
  /** Why the child said it would go, if it did. */
  farewell: string | undefined;
  /** The child was let go: its end is not our business any more. */
  isDetached = false;
  #isPaused = false;
  /** What is still read of a paused one that has exited. */
  #leftBytes = MAX_LEFT_BYTES;
  /** When anything last arrived, in milliseconds since the epoch. */
  lastHeardAt: number = Date.now();
  #messagesSent = 0;
  #messagesReceived = 0;
  readonly #tool: ToolProcess;
  /** The process is the child's own, and not a helper such as ssh or sudo. */
  readonly #isDirect: boolean;
  readonly #youngUntil: number = Date.now() + YOUNG_MS;
  /** The last words of the tool, and of what waits for node. */
  readonly #stderr: History = new History();
  readonly #closed: Deferred<void> = new Deferred();
  /** Those who wait for less to be queued. */
  readonly #waiting: Set<() => void> = new Set();
  #isEnding = false;
  #isAborted = false;
  #reaped: Promise<void> = Promise.resolve();

  constructor(name: string, tool: ToolProcess, maxMessageBytes: number, isDirect: boolean) {
    super(name, tool.stdout, tool.stdin, maxMessageBytes);
    this.#tool = tool;
    this.#isDirect = isDirect;
    for (const event of ["drain", "close"]) tool.stdin.on(event, () => this.wakeWaiting());
    // The tool's own words (ssh's, sudo's) after the connect; the child's stderr travels as log records.
    tool.stderr.on("data", (chunk: Buffer) => {
      const lines = this.#stderr.push("stderr", chunk).filter((line) => line !== "");
      const left = lines.length - MAX_STDERR_LINES;
      if (left > 0) lines.splice(MAX_STDERR_LINES, left, `… and ${left} more lines`);
      for (const line of lines) {
        // A shell says "Terminated" of a child that was asked to end; `debug1:` is what ssh was asked to say.
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
    // Node reads on when a process has exited, and so its end is noticed. A hostile one may leave another that writes on.
    if (this.#isPaused && this.hasExited) {
      this.#leftBytes -= chunk.length;
      if (this.#leftBytes < 0) super.pause();
    }
    return super.receive(chunk);
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

  /** Changes while the peer lives: what it has taken of what waits for it, or else what has come from it; NaN while nobody listens. */
  get lifeSign(): number {
    if (this.queuedBytes === 0) return this.#isPaused ? Number.NaN : this.#tool.stdout.bytesRead;
    // Node counts as written what libuv has, which may be much, and of which the peer may have taken a part.
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

  /** Messages; and what the operating system has taken and given, payload and noise included. */
  get traffic(): Traffic {
    return {
      bytesSent: this.#tool.stdin.bytesWritten + this.directBytes,
      bytesReceived: this.#tool.stdout.bytesRead,
      messagesSent: this.#messagesSent,
      messagesReceived: this.#messagesReceived,
    };
  }

  /**
   * Sees a child that has been sent SHUTDOWN to its end; resolves when its process is reaped and `onClosed` was called. Both
   * directions stay open meanwhile: its last words, and those of contexts behind it, are still to come.
   */
  async end(graceMs: number): Promise<void> {
    this.#isEnding = true;
    if (!this.isDetached) await this.#tool.end(graceMs);
    // Reaped or given up: either way nothing will come from there any more.
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

  /** Resolves when the process of a link that has ended is gone too. */
  get reaped(): Promise<void> {
    return this.#reaped;
  }

  private async explain(reason: string): Promise<string> {
    if (this.isDetached) {
      // Nobody waits for it: the child may live for ever.
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
    return `${this.name}: disconnected, the process ${printExit(exit)}${await this.lastWords(exit)}`;
  }

  /** Of a child that is young: its node was ready, but may not have found what it needs to go on. */
  private async lastWords({ code }: Exit): Promise<string> {
    if (Date.now() > this.#youngUntil) return "";
    await this.#tool.drained();
    const text = this.#stderr.toString();
    const hint = crashHint(text, code);
    return hint === "" ? "" : `; ${hint}\n${text}`;
  }
}
