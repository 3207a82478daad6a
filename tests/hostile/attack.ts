/** Hostile children against a program, and against a hop of it, while an honest sibling goes on working. */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import {
  AllowAny,
  AllowParents,
  argSpec,
  type Context,
  expose,
  type LogRecord,
  type Message,
  onLog,
  Pool,
  Receiver,
  Router,
  Service,
} from "../../src/index.ts";
import * as remote from "../fixtures/remote/functions.ts";
import * as withMitogen from "../fixtures/remote/with-mitogen.ts";
import { cpuMsOf, fdCountOf, memoryOf, type Stall, StallMeter } from "../support/process-watch.ts";
import { Random } from "../support/random.ts";
import type { Came, Plan } from "./child.ts";

const MIB = 1024 * 1024;
/**
 * CPU time for which what others want may wait: as much as a large module takes, and for each MiB that came.
 */
const STALL_FLOOR_MS = 400;
const STALL_MS_PER_MIB = 50;
/** Of the hop only whole pings can be timed, and its CPU time counts both threads. */
const HOP_STALL_MS = 1_000;
/** Above what 64 MiB of parts that may be open take. */
const MAX_GROWTH = 256 * MIB;
const FD_TOLERANCE = 4;
/** One request ends within this on any machine; a harness that hangs says where. */
const LIMIT_MS = 60_000;
/** What is asked of a child itself gives up then. */
const ASK_MS = 1_000;
const MAX_RECORD_CHARACTERS = 70_000;
const SESSION_FRAMES = 1_000;
const SECRET = "what-no-child-may-read-4711";

/** What is watched. Each is checked for itself. */
export const CHECKS = [
  "sessions end",
  "deliveries",
  "honest peers",
  "stalls",
  "memory",
  "descriptors",
  "logs",
  "secrets",
  "errors",
] as const;
export type Check = (typeof CHECKS)[number];

export interface AttackOptions {
  readonly seed: number;
  readonly frames: number;
  /** The children are behind a genuine context, which is watched too. */
  readonly behindHop: boolean;
  /** Ends the run even if not all has been sent. */
  readonly deadline?: number;
}

export interface AttackReport {
  readonly frames: number;
  readonly sessions: number;
  readonly worstStallMs: number;
  readonly growthMiB: number;
  readonly logRecords: number;
  /** What was broken; nothing, if all is well. */
  readonly broken: ReadonlyMap<Check, readonly string[]>;
}

/** Runs the attack that `seed` stands for. */
export async function attack({ seed, frames, behindHop, deadline }: AttackOptions): Promise<AttackReport> {
  const folder = mkdtempSync(join(tmpdir(), "mitogen-hostile-"));
  const router = new Router();
  const watch = new Watch();
  let honest: Honest | undefined;
  try {
    const [hop, sibling] = await Promise.all([behindHop ? router.local() : undefined, router.local()]);
    await Promise.all([hop, sibling].map((context) => context?.call(remote.add, 1, 1)));
    const stage = new Stage(router, folder, watch, hop, sibling);
    // The first warms what is meant to stay: the compiler, parts that travel later.
    await stage.session(new Random(seed), 10);
    honest = new Honest(router, sibling, watch);
    await honest.begin();
    await watch.begin(router, hop);
    let sent = 0;
    let sessions = 0;
    for (let left = frames; left > 0 && !(Date.now() > (deadline ?? Infinity)); left -= SESSION_FRAMES) {
      // Of its own: one session can be repeated without those before it.
      const random = new Random(seed + ++sessions);
      sent += await stage.session(random, Math.min(left, SESSION_FRAMES));
    }
    await honest.end();
    await stage.end();
    await watch.end(router, hop);
    return { frames: sent, sessions, ...watch.report() };
  } finally {
    honest?.stop();
    watch.stop();
    await router.shutdown();
    rmSync(folder, { recursive: true, force: true });
  }
}

/** What is attacked. */
class Stage {
  readonly #router: Router;
  readonly #folder: string;
  readonly #watch: Watch;
  readonly #hop: Context | undefined;
  readonly #sibling: Context;
  readonly #trap: string;
  readonly #secret: string;
  /** Takes from anybody: but from nobody who is not who he says. */
  readonly #open: Receiver;
  /** Takes from the sibling alone. */
  readonly #closed: Receiver;
  readonly #known: Set<number>;
  #hostileId = 0;

  constructor(router: Router, folder: string, watch: Watch, hop: Context | undefined, sibling: Context) {
    this.#router = router;
    this.#folder = folder;
    this.#watch = watch;
    this.#hop = hop;
    this.#sibling = sibling;
    this.#trap = join(folder, "trap");
    this.#secret = join(folder, "secret");
    writeFileSync(this.#secret, SECRET);
    this.#open = new Receiver(router);
    this.#closed = new Receiver(router, { respondent: sibling });
    this.#known = new Set([0, sibling.contextId, ...(hop === undefined ? [] : [hop.contextId])]);
    new Pool(router, [
      new Open(router, (message) => this.checkSender(message, "the open service")),
      new Closed(router, () => watch.broke("deliveries", "the closed service was called")),
    ]);
  }

  /** One child from its connect to its end; how many frames it has sent. */
  async session(random: Random, frames: number): Promise<number> {
    const report = join(this.#folder, "report");
    const plan: Plan = {
      seed: random.below(2 ** 32),
      frames,
      world: {
        others: [...this.#known],
        trap: this.#trap,
        secret: this.#secret,
        module: new URL("../fixtures/remote/functions.js", import.meta.url).href,
      },
      isDeaf: random.chance(4),
      endsBadly: random.chance(3),
      secretText: SECRET,
      report,
    };
    writeFileSync(report, JSON.stringify({ sent: 0, sawSecret: false } satisfies Came));
    const child = fileURLToPath(new URL("child.js", import.meta.url));
    const via = this.#hop;
    const connecting = this.#router.exec({
      via,
      command: [process.execPath, child, JSON.stringify(plan)],
      timeoutMs: 30_000,
    });
    let context: Context;
    try {
      context = await connecting;
    } catch (error) {
      // Behind a hop it may be gone before the answer has come: that is an end too.
      if (!behaves(error)) this.#watch.broke("sessions end", `session ${plan.seed}: ${error}`);
      return this.read(report).sent;
    }
    this.#hostileId = context.contextId;
    await this.ask(context);
    if (!(await settles(context.disconnected, LIMIT_MS))) {
      this.#watch.broke("sessions end", `session ${plan.seed} goes on`);
      await context.shutdown();
    }
    const came = this.read(report);
    if (came.sawSecret) this.#watch.broke("secrets", `session ${plan.seed} was sent the text of a file`);
    if (existsSync(this.#trap)) {
      this.#watch.broke("deliveries", `session ${plan.seed}: a call of the child's was made`);
      rmSync(this.#trap);
    }
    this.look();
    return came.sent;
  }

  /** Requests to the child itself: whatever it answers, they end. */
  private async ask(context: Context): Promise<void> {
    const bounded = context.with({ timeoutMs: ASK_MS });
    const requests: Record<string, Promise<unknown>> = {
      call: bounded.call(remote.add, 1, 1),
      ping: context.ping({ timeoutMs: ASK_MS }),
      connect: this.#router.local({ via: context, timeoutMs: ASK_MS }).then((below) => below.shutdown()),
    };
    await Promise.all(
      Object.entries(requests).map(async ([name, request]) => {
        const ended = request.catch((error) => {
          if (!behaves(error)) this.#watch.broke("errors", `${name} fails with ${error?.stack ?? error}`);
        });
        if (!(await settles(ended, LIMIT_MS / 4))) this.#watch.broke("sessions end", `${name} does not end`);
      }),
    );
  }

  async end(): Promise<void> {
    for (const context of [this.#hop, this.#sibling]) {
      if (context === undefined) continue;
      const answer = await context.with({ timeoutMs: LIMIT_MS }).call(remote.add, 2, 3).catch(String);
      if (answer !== 5) this.#watch.broke("honest peers", `${context.name} answers ${answer}`);
    }
    const expected = this.#hop === undefined ? 1 : 2;
    const { contextCount } = this.#router.getStats();
    if (contextCount !== expected) this.#watch.broke("sessions end", `${contextCount} contexts are left`);
    this.look();
    for (const receiver of [this.#open, this.#closed]) receiver.close();
  }

  private read(report: string): Came {
    return JSON.parse(readFileSync(report, "utf8")) as Came;
  }

  private look(): void {
    for (let message = this.#open.tryGet(); message !== undefined; message = this.#open.tryGet()) {
      this.checkSender(message, "the open receiver");
    }
    if (this.#closed.size() > 0) {
      const from = this.#closed.tryGet()?.srcId;
      this.#watch.broke("deliveries", `the sibling's receiver took a message of ${from}`);
    }
    if (this.#closed.isClosed) this.#watch.broke("deliveries", "the sibling's receiver was ended");
  }

  private checkSender({ srcId, authId }: Message, what: string): void {
    for (const id of [srcId, authId]) {
      if (this.#known.has(id)) {
        this.#watch.broke("deliveries", `${what} took a message of ${id}, which was ${this.#hostileId}'s`);
      }
    }
  }
}

class Open extends Service {
  static override serviceName = "open";
  readonly #onCall: (message: Message) => void;

  constructor(router: Router, onCall: (message: Message) => void) {
    super(router);
    this.#onCall = onCall;
  }

  answer({ value }: { value: unknown }, message: Message): unknown {
    this.#onCall(message);
    return value;
  }
}
expose(AllowAny)(Open.prototype, "answer");
argSpec({ value: "any" as never })(Open.prototype, "answer");

class Closed extends Service {
  static override serviceName = "closed";
  readonly #onCall: () => void;

  constructor(router: Router, onCall: () => void) {
    super(router);
    this.#onCall = onCall;
  }

  answer(): void {
    this.#onCall();
  }

  hidden(): void {
    this.#onCall();
  }
}
expose(AllowParents)(Closed.prototype, "answer");

/**
 * An honest sibling: calls both ways of data, a stream from it, and one to it. All of it goes on to be right.
 */
class Honest {
  readonly #router: Router;
  readonly #sibling: Context;
  readonly #watch: Watch;
  #work: Promise<unknown> = Promise.resolve();
  #isOver = false;

  constructor(router: Router, sibling: Context, watch: Watch) {
    this.#router = router;
    this.#sibling = sibling;
    this.#watch = watch;
  }

  async begin(): Promise<void> {
    await this.calls();
    await this.streams();
    this.#work = Promise.all([this.again(() => this.calls()), this.again(() => this.streams())]);
  }

  stop(): void {
    this.#isOver = true;
  }

  async end(): Promise<void> {
    this.stop();
    if (!(await settles(this.#work, LIMIT_MS))) this.#watch.broke("honest peers", "their work does not end");
  }

  private async again(round: () => Promise<void>): Promise<void> {
    for (let rounds = 1; !this.#isOver; rounds++) {
      await round().catch((error) => {
        this.#watch.broke("honest peers", `round ${rounds}: ${error}`);
        this.#isOver = true;
      });
      await pause(10);
    }
  }

  private async calls(): Promise<void> {
    const value = { text: "é".repeat(100), bytes: Buffer.alloc(1_000, 7), at: Math.random() };
    const bounded = this.#sibling.with({ timeoutMs: LIMIT_MS });
    const answers = await Promise.all([bounded.call(remote.echo, value), bounded.call(remote.add, 1, 2)]);
    const [echo, sum] = answers as [typeof value, number];
    const isRight = echo.text === value.text && echo.bytes.equals(value.bytes) && echo.at === value.at;
    if (!isRight || sum !== 3) throw new Error("a call's answer is not its own");
  }

  private async streams(): Promise<void> {
    const receiver = new Receiver<number>(this.#router, { respondent: this.#sibling });
    const call = this.#sibling
      .with({ timeoutMs: LIMIT_MS })
      .call(withMitogen.sendNumbers, receiver.toSender(), 50);
    let next = 0;
    for await (const message of receiver) {
      const number = message.decode();
      if (number !== next++) throw new Error(`a stream went from ${next - 2} to ${number}`);
    }
    receiver.close();
    await call;
    if (next !== 50) throw new Error(`a stream ended after ${next}`);
  }
}

/** Watches this process, and the hop's. */
class Watch {
  readonly #broken: Map<Check, string[]> = new Map();
  readonly #onError = (error: unknown): void =>
    this.broke("errors", String((error as Error)?.stack ?? error));
  #stopLog: (() => void) | undefined;
  #meter: StallMeter | undefined;
  #worst: Stall = { cpuMs: 0, bytes: 0 };
  #logBytes = 0;
  #logRecords = 0;
  #receivedBefore = 0;
  #fdsBefore = 0;
  #memoryBefore = 0;
  #peak = 0;
  #sampler: NodeJS.Timeout | undefined;
  #hop: HopWatch | undefined;

  broke(check: Check, what: string): void {
    const list = this.#broken.get(check) ?? [];
    this.#broken.set(check, list);
    if (list.length < 20) list.push(what.slice(0, 2_000));
  }

  async begin(router: Router, hop: Context | undefined): Promise<void> {
    process.on("uncaughtException", this.#onError).on("unhandledRejection", this.#onError);
    const received = (): number => router.getStats().bytesReceived;
    this.#stopLog = onLog((record) => this.noteRecord(record), { level: "info" });
    this.#receivedBefore = received();
    this.#fdsBefore = fdCountOf("self");
    this.#memoryBefore = memoryOf("self");
    this.#peak = this.#memoryBefore;
    this.#sampler = setInterval(() => {
      this.#peak = Math.max(this.#peak, memoryOf("self"));
    }, 50);
    this.#meter = new StallMeter(received);
    if (hop !== undefined) {
      this.#hop = new HopWatch(hop, await hop.call(remote.pid), (check, what) => this.broke(check, what));
    }
  }

  async end(router: Router, hop: Context | undefined): Promise<void> {
    this.#meter?.stop();
    for (const stall of this.#meter?.stalls ?? []) {
      if (stall.cpuMs > this.#worst.cpuMs) this.#worst = stall;
      const allowed = STALL_FLOOR_MS + (STALL_MS_PER_MIB * stall.bytes) / MIB;
      if (stall.cpuMs > allowed) {
        this.broke(
          "stalls",
          `the program was held for ${Math.round(stall.cpuMs)} ms by ${stall.bytes} bytes`,
        );
      }
    }
    const growth = this.#peak - this.#memoryBefore;
    if (growth > MAX_GROWTH) this.broke("memory", `the program grew by ${Math.round(growth / MIB)} MiB`);
    const received = router.getStats().bytesReceived - this.#receivedBefore;
    if (this.#logBytes > 2 * received + MIB) {
      this.broke("logs", `${this.#logBytes} characters were logged for ${received} bytes received`);
    }
    let fds = 0;
    for (let turn = 0; turn < 100; turn++) {
      fds = fdCountOf("self");
      if (Math.abs(fds - this.#fdsBefore) <= FD_TOLERANCE) break;
      await pause(20);
    }
    if (fds - this.#fdsBefore > FD_TOLERANCE) this.broke("descriptors", `${this.#fdsBefore} → ${fds}`);
    if (hop !== undefined) await this.#hop?.end();
  }

  stop(): void {
    this.#stopLog?.();
    this.#meter?.stop();
    this.#hop?.stop();
    clearInterval(this.#sampler);
    process.off("uncaughtException", this.#onError).off("unhandledRejection", this.#onError);
  }

  report(): Omit<AttackReport, "frames" | "sessions"> {
    return {
      worstStallMs: Math.round(this.#worst.cpuMs),
      growthMiB: Math.round((this.#peak - this.#memoryBefore) / MIB),
      logRecords: this.#logRecords,
      broken: this.#broken,
    };
  }

  private noteRecord({ message, mitogenName }: LogRecord): void {
    this.#logRecords += 1;
    this.#logBytes += message.length;
    if (message.length > MAX_RECORD_CHARACTERS)
      this.broke("logs", `a record of ${message.length} characters`);
    // What a context itself logs is its own text; what is said of it here has to be fit for a terminal.
    if (mitogenName === undefined && /[\x00-\x08\x0b-\x1f\x7f-\x9f]/.test(message)) {
      this.broke("logs", `control characters in ${JSON.stringify(message.slice(0, 300))}`);
    }
    // What is malformed is dropped and logged; anything else was not expected to be thrown.
    if (/Handler for \d+ failed: (?!ProtocolError|TypeError: a )/.test(message))
      this.broke("errors", message);
  }
}

class HopWatch {
  readonly #broke: (check: Check, what: string) => void;
  readonly #pid: number;
  readonly #fds: number;
  readonly #memory: number;
  readonly #watching: Promise<void>;
  #isOver = false;

  constructor(hop: Context, pid: number, broke: (check: Check, what: string) => void) {
    this.#broke = broke;
    this.#pid = pid;
    this.#fds = fdCountOf(pid);
    this.#memory = memoryOf(pid);
    this.#watching = this.watch(hop);
  }

  private async watch(hop: Context): Promise<void> {
    for (let worst = 0; !this.#isOver; await pause(20)) {
      const before = cpuMsOf(this.#pid);
      try {
        await hop.ping({ timeoutMs: LIMIT_MS });
      } catch (error) {
        this.#broke("honest peers", `the hop does not answer: ${error}`);
        return;
      }
      const cpuMs = cpuMsOf(this.#pid) - before;
      if (cpuMs > Math.max(worst, HOP_STALL_MS)) {
        worst = cpuMs;
        this.#broke("stalls", `the hop computed ${cpuMs} ms before it answered a ping`);
      }
      const growth = memoryOf(this.#pid) - this.#memory;
      if (growth > MAX_GROWTH) this.#broke("memory", `the hop grew by ${Math.round(growth / MIB)} MiB`);
    }
  }

  async end(): Promise<void> {
    this.stop();
    await this.#watching;
    const fds = fdCountOf(this.#pid);
    if (fds - this.#fds > FD_TOLERANCE) this.#broke("descriptors", `of the hop: ${this.#fds} → ${fds}`);
  }

  stop(): void {
    this.#isOver = true;
  }
}

/** An error of the library's, as callers are promised. */
function behaves(error: unknown): boolean {
  return error instanceof Error && String((error as { code?: unknown }).code).startsWith("ERR_");
}

async function settles(promise: Promise<unknown>, withinMs: number): Promise<boolean> {
  const abort = new AbortController();
  const late = pause(withinMs, false, { signal: abort.signal }).catch(() => false);
  const isSettled = await Promise.race([promise.then(() => true), late]);
  abort.abort();
  return isSettled;
}
