import type { MessagePort } from "node:worker_threads";
import type { ParentRole } from "../connection/children/parent-role.ts";
import { asBuffer, ThreadLink } from "../links/thread-link.ts";
import { type ControlMessage, raise, Word } from "../links/thread-state.ts";
import { PARENT_ROLE } from "../loader/builtins.ts";
import { addLogSink, LogLevel, type LogRecord } from "../logging/log.ts";
import { subprocesses } from "../process/process-tree.ts";
import { FrameRouter } from "../routing/frame-router.ts";
import { decodeValue } from "../wire/cbor/decoder.ts";
import { encodeValue } from "../wire/cbor/encoder.ts";
import { bodyLength, type Frame, joinBody } from "../wire/frame.ts";
import { Handle } from "../wire/handles.ts";
import { cut, MAX_MESSAGE } from "../wire/values/error-value.ts";
import type { FirstFrames } from "./first-frames.ts";
import { evaluatePart } from "./library-parts.ts";
import { ParentLink } from "./parent-link.ts";
import { type ChildConfig, STDERR_TAP, STDOUT_TAP, type ThreadData } from "./shared-state.ts";
import { StdioTap } from "./stdio-tap.ts";

/** The longest time that the end of a context may take. */
const GRACE_MS = 3000;
/** How long a SIGTERM handler of user code may take before SIGKILL. */
const SIGTERM_MS = 700;
/** How often to check whether subprocesses have ended. The kernel tells only their parent, which may hang. */
const POLL_MS = 20;
/**
 * The first handle of this thread. The main thread gives out handles of the same context from the other end
 * of the range.
 */
const FIRST_BROKER_HANDLE = 0x80000000;
/** How many lines of output are sent with the reason when user code ends the process. */
const LAST_LINES = 10;
const LAST_LINE_CHARACTERS = 300;
/**
 * The parent is considered dead after this many intervals without a byte, although it was asked for one. The
 * parent allows one interval less, so that it decides first.
 */
const MAX_SILENT_INTERVALS = 4;

/** What travels of a log record: docs/protocol.md#forward_log. */
type Row = readonly [logger: string, level: number, message: string, time: number];

/**
 * The broker thread of a child. It owns the link to the parent and the taps on stdout and stderr, routes
 * frames, and ends the process. It never waits for the main thread, so a hung function cannot stop it.
 */
export class BrokerThread {
  readonly #data: ThreadData;
  readonly #port: MessagePort;
  readonly #parent: ParentLink;
  readonly #inner: ThreadLink;
  readonly #lastLines: string[] = [];
  #taps: readonly StdioTap[] = [];
  #config!: ChildConfig;
  #router!: FrameRouter;
  /** The packed modules that have arrived for this context, and for those behind it, by hash. */
  readonly #modules: Map<string, Uint8Array> = new Map();
  #role: ParentRole | undefined;
  /** Whether the main thread already has the frames that arrive. */
  #isSeen = false;
  #isEnding = false;
  #isDying = false;

  /** `first` is what the main thread has read from the parent. */
  constructor(data: ThreadData, first: FirstFrames) {
    this.#data = data;
    this.#port = data.port as MessagePort;
    this.#parent = new ParentLink(data.words);
    this.#parent.output.on("drain", () => {
      for (const tap of this.#taps) tap.resume();
    });
    this.#inner = new ThreadLink(this.#port, data.words);
    this.#inner.onLeft = () => this.takeFrames(() => this.#inner.answers.rescue(), true);
    this.#parent.open({
      // Only the first frame arrives here. takeConfig() then takes the link over.
      onFrame: (frame) => this.takeConfig(frame),
      onClosed: () => this.killProcess(),
    });
    this.#isSeen = true;
    this.#parent.receive(asBuffer(first.seen));
    this.#isSeen = false;
    this.#parent.receive(asBuffer(first.rest));
  }

  private takeConfig(frame: Frame): void {
    const config = decodeValue(joinBody(frame)) as ChildConfig;
    this.#config = config;
    this.#router = new FrameRouter({ ...config, firstHandle: FIRST_BROKER_HANDLE });
    // Sent first: the main thread must know its configuration before anything else arrives.
    if (!this.#isSeen) this.#inner.send(frame);
    this.#router.attach(this.#inner, config.contextId, "inner");
    this.#router.onParentLost = () => this.endContext();
    const policy = ({ authId }: Frame): boolean => this.#router.hasAuthority(authId);
    this.#router.listen(() => this.endContext(), {
      handle: Handle.SHUTDOWN,
      policy,
    });
    this.#router.listen((frame) => this.loadModules(frame), {
      handle: Handle.LOAD_MODULE,
      policy,
      isService: true,
    });
    // This thread answers, because the context lives even if its main thread hangs.
    this.#router.listen((frame) => this.answerPing(frame), { handle: Handle.PING, isService: true });
    if (config.asksParent === true) this.watchParent();
    addLogSink((record) => this.forwardRecord(record), config.logLevel);
    this.#port.on("message", (message: ControlMessage) => this.onControl(message));
    this.#taps = [this.openTap(STDOUT_TAP, "stdout"), this.openTap(STDERR_TAP, "stderr")];
    this.#router.attach(this.#parent, config.parentIds[0] as number, "parent");
  }

  private onControl(message: ControlMessage): void {
    if (message.rest !== undefined) this.#parent.adopt(message.rest);
    if (message.frames !== undefined) {
      this.takeFrames(() => message.frames, message.hasOutput === true);
      Atomics.sub(this.#data.words, Word.POSTED, 1);
    }
    if (message.exitReason !== undefined) this.sayGoodbye(message.exitReason);
    this.#inner.noteRead();
  }

  /**
   * Takes frames of the main thread. From now until they have left, the main thread writes nothing itself.
   */
  private takeFrames(take: () => Uint8Array | undefined, hasOutput: boolean): void {
    this.#parent.acquire();
    const frames = take();
    // The output was printed before the frames were made.
    if (hasOutput) this.drainTaps();
    if (frames !== undefined) this.#inner.receive(frames);
    process.nextTick(() => this.#parent.releaseIfIdle());
  }

  /**
   * Asks a silent parent for a sign of life. Without one, ends as if the link were lost, because a cut
   * network closes no connection.
   */
  private watchParent(): void {
    const { keepaliveMs, parentIds } = this.#config;
    const replyTo = this.#router.listen(() => undefined, { isService: true });
    let heardBytes = 0;
    let intervals = 0;
    setInterval(() => {
      const { bytesRead } = this.#parent.input;
      intervals = bytesRead === heardBytes ? intervals + 1 : 0;
      heardBytes = bytesRead;
      // The parent asks in every second interval, so this thread rarely needs to. A detached context has no
      // parent to ask.
      if (intervals < 2 || this.#isEnding || parentIds.length === 0) return;
      if (intervals < MAX_SILENT_INTERVALS) {
        this.sendEmpty(parentIds[0] as number, Handle.PING, replyTo);
        return;
      }
      // A program that was only blocked will read the farewell.
      this.sayFarewell(`no sign of life from its parent for ${intervals * keepaliveMs} ms`);
      this.endContext();
    }, keepaliveMs);
  }

  /** A ping with a text asks for all output, also for what has no newline yet. It leaves before the answer. */
  private answerPing(frame: Frame): void {
    if (bodyLength(frame) > 1) this.flushTaps();
    this.sendEmpty(frame.srcId, frame.replyTo, 0);
  }

  private sendEmpty(dstId: number, handle: number, replyTo: number): void {
    this.#router.routeFrame(this.#router.frame(dstId, handle, [], replyTo));
  }

  /**
   * Takes [target, [[id, hash, packed or null], …]]: modules for this context, or for one behind it. Keeps every
   * packed module: null stands for one that has passed here before.
   */
  private loadModules(frame: Frame): void {
    const [targetId, modules] = decodeValue(joinBody(frame)) as [
      number,
      [string, string, Uint8Array | null][],
    ];
    const complete = modules.map(([id, hash, packed]) => {
      if (packed !== null) this.#modules.set(hash, packed);
      return [id, hash, this.#modules.get(hash)] as const;
    });
    if (targetId !== this.#config.contextId) {
      this.#role?.forwardModules(
        targetId,
        modules.map(([id, hash]) => [id, hash]),
      );
      return;
    }
    const own = complete.filter(([id]) => id !== PARENT_ROLE);
    const role = complete.find(([id]) => id === PARENT_ROLE);
    if (role !== undefined && this.#role === undefined) this.becomeParent(role[2] as Uint8Array);
    // Sends all modules if one came without its content. The main thread ignores modules that it already has.
    const isMissed = !this.#isSeen || modules.some(([, , packed]) => packed === null);
    if (isMissed && own.length > 0) this.#inner.send({ ...frame, body: encodeValue([targetId, own]) });
  }

  /**
   * Evaluates the code that only contexts with children need. The master sends it before the first request
   * for a child.
   */
  private becomeParent(packed: Uint8Array): void {
    const part = evaluatePart(packed, { payloadBytes: () => this.#data.payload });
    const { ParentRole: Role } = part as { ParentRole: typeof ParentRole };
    const parent = {
      flush: () => this.#parent.flush(),
      abort: (reason: string) => this.#parent.abort(reason),
      flushOutput: () => this.flushTaps(),
      keepaliveMs: this.#config.keepaliveMs,
    };
    this.#role = new Role(this.#router, this.#inner, parent, (hash) => this.#modules.get(hash));
  }

  private openTap(fd: number, name: string): StdioTap {
    return new StdioTap(fd, (lines) => this.forwardLines(name, lines));
  }

  private drainTaps(): void {
    for (const tap of this.#taps) tap.drain();
  }

  private forwardLines(name: string, lines: readonly string[]): void {
    for (const line of lines.slice(-LAST_LINES)) this.#lastLines.push(line.slice(0, LAST_LINE_CHARACTERS));
    this.#lastLines.splice(0, this.#lastLines.length - LAST_LINES);
    if (this.#config.logLevel < LogLevel.info) return;
    const time = Date.now();
    const isBelowMark = this.sendRecords(lines.map((line) => [name, LogLevel.info, line, time]));
    // The parent is slow. Nobody reads the pipe until it is faster, so the writer waits and this thread's memory
    // does not grow.
    if (!isBelowMark) for (const tap of this.#taps) tap.pause();
  }

  private forwardRecord(record: LogRecord): void {
    // Records about frames would make more frames.
    if (record.level === "io") return;
    this.sendRecords([[record.logger, LogLevel[record.level], record.message, record.time]]);
  }

  /**
   * Sends records, in several messages if one would be too large. Of a record that is too large itself, only the
   * beginning of its text is sent. Returns false if the parent is slow.
   */
  private sendRecords(records: readonly Row[]): boolean {
    const frame = this.#router.frame(0, Handle.FORWARD_LOG, encodeValue(records));
    if (bodyLength(frame) <= this.#config.maxMessageBytes) return this.#parent.send(frame);
    const half = records.length >> 1;
    if (half > 0) this.sendRecords(records.slice(0, half));
    const [logger, level, message, time] = records[0] as Row;
    return this.sendRecords(
      half > 0 ? records.slice(half) : [[logger, level, cut(message, MAX_MESSAGE), time]],
    );
  }

  /** Tells the parent why this context is about to end. */
  private sayFarewell(reason: string): void {
    const { contextId, parentIds } = this.#config;
    this.#parent.send(
      this.#router.frame(parentIds[0] as number, Handle.DEL_ROUTE, encodeValue([contextId, reason])),
    );
  }

  /** User code ends the process. Tells the parent why, then lets the main thread continue its exit. */
  private sayGoodbye(reason: string): void {
    this.flushTaps();
    const lastOutput = this.#lastLines.length === 0 ? "" : `; last output:\n${this.#lastLines.join("\n")}`;
    this.sayFarewell(reason + lastOutput);
    const letMainExit = (): void => raise(this.#data.words, Word.FLUSHED);
    // The parent closes the link when it has read this. Only then may the process end, because a tool in between
    // may end together with the process and drop the bytes that it still holds.
    this.#router.onParentLost = letMainExit;
    // After a detach there is no parent to tell.
    const { output } = this.#parent;
    output.on("close", letMainExit);
    if (output.destroyed) letMainExit();
  }

  private flushTaps(): void {
    this.drainTaps();
    for (const tap of this.#taps) {
      tap.flush();
      tap.resume();
    }
  }

  /**
   * Ends the context: sends everything that is buffered, then kills the process, whatever its main thread
   * does.
   */
  private endContext(): void {
    if (this.#isEnding) return;
    this.#isEnding = true;
    const die = () => this.killProcess();
    setTimeout(die, GRACE_MS - SIGTERM_MS);
    const close = () => {
      this.flushTaps();
      const { output } = this.#parent;
      output.on("finish", die).on("close", die);
      this.#parent.close();
      // Dies at once if the parent is gone, or has got everything. Takes the lock first, so that the main thread
      // cannot report a subprocess that is killed now as the failure of a call.
      if (output.destroyed || (this.#parent.acquire() && this.#parent.queuedBytes === 0)) die();
    };
    // The contexts below end first, because their last messages pass through here.
    if (this.#role === undefined) close();
    else void this.#role.endChildren().then(close);
  }

  /** Ends the processes that user code left running first, because they would outlive the program. */
  private killProcess(): void {
    if (this.#isDying) return;
    this.#isDying = true;
    const deadline = Date.now() + SIGTERM_MS;
    let signal: NodeJS.Signals = "SIGTERM";
    const poll = () => {
      const pids = subprocesses();
      for (const { pid } of pids) kill(pid, signal);
      if (pids.length > 0 && signal === "SIGTERM") {
        if (Date.now() >= deadline) signal = "SIGKILL";
        setTimeout(poll, POLL_MS);
        return;
      }
      kill(process.pid, "SIGTERM");
      setTimeout(() => kill(process.pid, "SIGKILL"), SIGTERM_MS);
    };
    poll();
  }
}

function kill(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch {
    // The process has ended by itself. Or it runs as another user (EPERM); then it ends when its pipes do.
  }
}
