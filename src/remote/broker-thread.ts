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
import { type Frame, joinBody } from "../wire/frame.ts";
import { Handle } from "../wire/handles.ts";
import type { FirstFrames } from "./first-frames.ts";
import { evaluatePart } from "./library-parts.ts";
import { ParentLink } from "./parent-link.ts";
import { type ChildConfig, STDERR_TAP, STDOUT_TAP, type ThreadData } from "./shared-state.ts";
import { StdioTap } from "./stdio-tap.ts";

/** Everything that ends must have ended by then: design.md section 10. */
const GRACE_MS = 3000;
/** How long a SIGTERM handler of user code may take before SIGKILL. */
const SIGTERM_MS = 700;
/** How often is looked whether subprocesses have ended: the kernel tells only their parent, which may hang. */
const POLL_MS = 20;
/** The main thread gives out handles of the same context from the other end. */
const FIRST_BROKER_HANDLE = 0x80000000;
/** How much of the last output is told with the reason when user code ends the process. */
const LAST_LINES = 10;
const LAST_LINE_CHARACTERS = 300;
/** So many intervals without a byte of the parent's, though asked for one, and it is taken for dead: one more than it takes itself, so that its verdict comes first. */
const MAX_SILENT_INTERVALS = 4;

/**
 * The broker thread of a child: owns the link to the parent and the taps on stdout and stderr, routes, and ends the process. It
 * never waits for the main thread, so a function that hangs there stops nothing of this.
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
  /** Packed modules that have come here, by hash: for this context and for those behind it. */
  readonly #modules: Map<string, Uint8Array> = new Map();
  #role: ParentRole | undefined;
  /** What arrives is in the main thread already. */
  #isSeen = false;
  #isEnding = false;
  #isDying = false;

  /** `first` is what the main thread has read of the parent. */
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
      // Only the first frame comes here; takeConfig() hands the link over.
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
    // First: the main thread must know who it is before anything else arrives there.
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
    // A hung main thread does not matter: it is this thread that everything depends on.
    this.#router.listen(({ srcId, replyTo }) => this.sendEmpty(srcId, replyTo, 0), {
      handle: Handle.PING,
      isService: true,
    });
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

  /** The main thread writes nothing itself before these have left: not from the moment on when they are taken. */
  private takeFrames(take: () => Uint8Array | undefined, hasOutput: boolean): void {
    this.#parent.acquire();
    const frames = take();
    // What was printed was printed before.
    if (hasOutput) this.drainTaps();
    if (frames !== undefined) this.#inner.receive(frames);
    process.nextTick(() => this.#parent.releaseIfIdle());
  }

  /** Asks a parent that is silent for a sign of life, and ends like at the loss of the link without it: a network that is cut closes no connection. */
  private watchParent(): void {
    const { keepaliveMs, parentIds } = this.#config;
    const replyTo = this.#router.listen(() => undefined, { isService: true });
    let heardBytes = 0;
    let intervals = 0;
    setInterval(() => {
      const { bytesRead } = this.#parent.input;
      intervals = bytesRead === heardBytes ? intervals + 1 : 0;
      heardBytes = bytesRead;
      // The parent asks every other interval, so for the most part this need not. Who is detached has nobody to ask.
      if (intervals < 2 || this.#isEnding || parentIds.length === 0) return;
      if (intervals < MAX_SILENT_INTERVALS) {
        this.sendEmpty(parentIds[0] as number, Handle.PING, replyTo);
        return;
      }
      // Read by a program that was only blocked.
      this.sayFarewell(`no sign of life from its parent for ${intervals * keepaliveMs} ms`);
      this.endContext();
    }, keepaliveMs);
  }

  private sendEmpty(dstId: number, handle: number, replyTo: number): void {
    this.#router.routeFrame(this.#router.frame(dstId, handle, [], replyTo));
  }

  /** [target, [[id, hash, packed or null], …]]: modules for this context, or for one behind it. What passes is kept. */
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
    if (own.length < complete.length && this.#role === undefined) {
      this.becomeParent(complete.find(([id]) => id === PARENT_ROLE)?.[2] as Uint8Array);
    }
    // All of them, where one was not complete: what is there already stays.
    const isMissed = !this.#isSeen || modules.some(([, , packed]) => packed === null);
    if (isMissed && own.length > 0) this.#inner.send({ ...frame, body: encodeValue([targetId, own]) });
  }

  /** Evaluates what only contexts with children need, which the master sends ahead of the first request for one. */
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
    // The parent is slow: let the pipe fill, so that the writer waits instead of our memory growing.
    if (!isBelowMark) for (const tap of this.#taps) tap.pause();
  }

  private forwardRecord(record: LogRecord): void {
    // Records about frames would make frames.
    if (record.level === "io") return;
    this.sendRecords([[record.logger, LogLevel[record.level], record.message, record.time]]);
  }

  private sendRecords(records: unknown[]): boolean {
    return this.sendUp(0, Handle.FORWARD_LOG, records);
  }

  /** Tells the parent why this context is about to go. */
  private sayFarewell(reason: string): void {
    const { contextId, parentIds } = this.#config;
    this.sendUp(parentIds[0] as number, Handle.DEL_ROUTE, [contextId, reason]);
  }

  private sendUp(dstId: number, handle: number, value: unknown): boolean {
    return this.#parent.send(this.#router.frame(dstId, handle, encodeValue(value)));
  }

  /** User code ends the process: tell the parent why, then let the main thread go on exiting. */
  private sayGoodbye(reason: string): void {
    this.flushTaps();
    const lastOutput = this.#lastLines.length === 0 ? "" : `; last output:\n${this.#lastLines.join("\n")}`;
    this.sayFarewell(reason + lastOutput);
    const letMainExit = (): void => raise(this.#data.words, Word.FLUSHED);
    // The parent closes the link when it has read this. A tool in between may end as soon as this process does, whatever it still holds.
    this.#router.onParentLost = letMainExit;
    // After a detach there is nobody to tell.
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

  /** Ends the context: what is buffered is sent, then the process is killed, whatever its main thread does. */
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
      // Nobody is there to be told, or all has been told; with the lock, for what is killed now must not be heard of as the failure of a call.
      if (output.destroyed || (this.#parent.acquire() && this.#parent.queuedBytes === 0)) die();
    };
    // The last words of those below travel through here.
    if (this.#role === undefined) close();
    else void this.#role.endChildren().then(close);
  }

  /** What user code started and left running goes first, or it would outlive the program. */
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
    // It ended by itself, or became another user's (EPERM): then it ends when its pipes do.
  }
}
