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
  type Message,
  Pool,
  Receiver,
  Router,
  Service,
} from "../../src/index.ts";
import * as remote from "../fixtures/remote/functions.ts";
import * as withMitogen from "../fixtures/remote/with-mitogen.ts";
import { Random } from "../support/random.ts";
import type { Came, Plan } from "./child.ts";
import { type AttackReport, LIMIT_MS, Watch } from "./watch.ts";

/** Requests to a child itself give up after this time. */
const ASK_MS = 1_000;
const SESSION_FRAMES = 1_000;
const SECRET = "what-no-child-may-read-4711";

export interface AttackOptions {
  readonly seed: number;
  readonly frames: number;
  /** Whether the children are behind a genuine context, which is watched too. */
  readonly behindHop: boolean;
  /** Ends the run even if not all has been sent. */
  readonly deadline?: number;
}

/** Runs the attack that `seed` determines. */
export async function attack({ seed, frames, behindHop, deadline }: AttackOptions): Promise<AttackReport> {
  const folder = mkdtempSync(join(tmpdir(), "mitogen-hostile-"));
  const router = new Router();
  const watch = new Watch();
  let honest: Honest | undefined;
  try {
    const [hop, sibling] = await Promise.all([behindHop ? router.local() : undefined, router.local()]);
    await Promise.all([hop, sibling].map((context) => context?.call(remote.add, 1, 1)));
    const stage = new Stage(router, folder, watch, hop, sibling);
    // The first session warms up what is meant to stay: the compiler, and parts that travel later.
    await stage.session(new Random(seed), 10);
    honest = new Honest(router, sibling, watch);
    await honest.begin();
    await watch.begin(router, hop);
    let sent = 0;
    let sessions = 0;
    for (let left = frames; left > 0 && !(Date.now() > (deadline ?? Infinity)); left -= SESSION_FRAMES) {
      // A seed of its own, so that one session can be repeated without those before it.
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
    // A child that ends late may write its report meanwhile. That must not hide what went wrong before.
    rmSync(folder, { recursive: true, force: true, maxRetries: 10 });
  }
}

/** The program and the contexts that are attacked. */
class Stage {
  readonly #router: Router;
  readonly #folder: string;
  readonly #watch: Watch;
  readonly #hop: Context | undefined;
  readonly #sibling: Context;
  readonly #trap: string;
  readonly #secret: string;
  /** Takes messages from any context, but only under the context's own id. */
  readonly #open: Receiver;
  /** Takes messages only from the sibling. */
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

  /** Runs one child from its connect to its end. Returns how many frames it has sent. */
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
      // Behind a hop, it may be gone before the answer has come. That is an end too.
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

  /** Makes requests to the child itself. They end, whatever it answers. */
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
 * An honest sibling: calls with data in both directions, a stream from it, and one to it. All stay correct.
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

/** Whether an error is one of the library's, as callers are promised. */
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
