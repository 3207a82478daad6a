import type { ConnectingRouter } from "../connection/connecting-router.ts";
import type { Context } from "../core/context.ts";
import type { Message } from "../core/message.ts";
import { Receiver } from "../core/receiver.ts";
import { Sender } from "../core/sender.ts";
import { ChannelError, TimeoutError } from "../errors.ts";
import { isMadeBy } from "../options/options.ts";
import { Deferred } from "../waiting/deferred.ts";
import { monotonicMs } from "../waiting/monotonic.ts";
import { onAbort } from "../waiting/wait.ts";
import { messageOf } from "../wire/values/thrown.ts";
import type { Host } from "./config/host.ts";
import { asError, type HostConnection } from "./engine/connections.ts";
import { CLOSE_HOP, type FromHop, type HopPlan, START_HOP, type ToHop } from "./engine/hop-messages.ts";
import type { GivenUp, WorkResult, WorkTools } from "./engine/host-run.ts";
import type { HostFailure } from "./engine/result.ts";
import { orAbort } from "./engine/retry.ts";
import { HopMember, type HopWorker } from "./hop-member.ts";
import { HopNews } from "./hop-news.ts";
import type { Job } from "./job.ts";
import { nonsense, receivedError, receivedEvent, receivedResult } from "./received.ts";
import { travelling } from "./travelling.ts";

/** Callbacks about the hosts behind a hop. */
export interface HopWatcher {
  onConnecting(host: string): void;
  onConnected(host: string, context: Context, durationMs: number): void;
}

/** How long a hop may take to end the contexts that it has started. */
const CLOSE_MS = 10_000;
/** How long a hop may be silent before it is asked for a sign of life, and how long it has to give one, without a `timeoutMs`. */
const SILENCE_MS = 30_000;

interface RunningWork {
  readonly host: string;
  readonly emit: WorkTools["emit"];
  readonly givenUp: AbortSignal;
  readonly done: Deferred<WorkResult<unknown>>;
}

/**
 * The hosts behind one hop. The hop connects them and does the work there; one stream brings events and results. The
 * stream is read only while something waits for a result, so that it does not keep the program alive.
 */
export class HopLink implements HopWorker {
  readonly members: readonly HopMember[];
  readonly #router: ConnectingRouter;
  readonly #hop: HostConnection;
  readonly #plan: HopPlan;
  readonly #watcher: HopWatcher;
  readonly #byName: ReadonlyMap<string, HopMember>;
  readonly #works: Map<number, RunningWork> = new Map();
  readonly #tasks: Map<Job<unknown>, Promise<number>> = new Map();
  #commands: Sender<ToHop> | undefined;
  #receiver: Receiver<FromHop> | undefined;
  readonly #news: HopNews;
  #lastId = 0;
  #waiting = 0;
  #isReading = false;
  #idle: AbortController = new AbortController();
  #unwatch: () => void = () => undefined;
  #lost: Error | undefined;
  #cancelled: Error | undefined;

  constructor(
    router: ConnectingRouter,
    hop: HostConnection,
    hosts: readonly Host[],
    plan: HopPlan,
    watcher: HopWatcher,
  ) {
    this.#router = router;
    this.#hop = hop;
    this.#plan = plan;
    this.#watcher = watcher;
    this.members = hosts.map((host) => new HopMember(this, host));
    this.#news = new HopNews(hosts, plan);
    this.#byName = new Map(this.members.map((member) => [member.host.name, member]));
    void this.#start();
  }

  /** Why no host can be reached through the hop any more. */
  get lost(): Error | undefined {
    return this.#lost;
  }

  /** Stops waiting for connects that run in the hop, and begins no others. */
  cancel(reason: unknown): void {
    this.#cancelled ??= asError(reason);
    this.#tell(["cancel"]);
    for (const member of this.members) if (member.context === undefined) member.settle(asError(reason));
  }

  /** Ends the contexts that the hop has started. Never rejects. */
  async close(): Promise<void> {
    await this.#closeThere();
    this.#lose(new ChannelError("the fleet has been closed"));
  }

  async #closeThere(): Promise<void> {
    const { context } = this.#hop;
    const handle = this.#commands?.handle;
    if (context === undefined || handle === undefined) return;
    await context
      .with({ timeoutMs: CLOSE_MS })
      .call(CLOSE_HOP, handle)
      .catch(() => undefined);
  }

  /** Does the work in the hop. */
  async work<T>(
    host: string,
    job: Job<T>,
    givenUp: AbortSignal,
    emit: WorkTools["emit"],
  ): Promise<WorkResult<T>> {
    const start = monotonicMs();
    const ended = (status: HostFailure["status"], error: unknown): WorkResult<T> => ({
      ...{ host, status, error: asError(error), durationMs: monotonicMs() - start },
    });
    if (this.#lost !== undefined) return ended("unreachable", this.#lostFor(host));
    const workId = ++this.#lastId;
    const done = new Deferred<WorkResult<unknown>>();
    this.#works.set(workId, { host, emit, givenUp, done });
    // Not awaited: a hop that hangs may not take the message.
    this.#taskOf(job as Job<unknown>).then(
      (taskId) => {
        if (this.#works.has(workId)) this.#tell(["work", workId, taskId, host]);
      },
      (error) => done.resolve(ended("failed", error)),
    );
    const unwatch = onAbort(givenUp, () => {
      // The answer is not awaited, because the hop may hang.
      this.#tell(["giveUp", workId]);
      const { reason } = givenUp.reason as GivenUp;
      done.resolve(ended("skipped", reason));
    });
    try {
      return (await this.#during(done.promise)) as WorkResult<T>;
    } finally {
      unwatch();
      this.#works.delete(workId);
    }
  }

  /** Makes the hop connect a lost host again. */
  async connect(member: HopMember): Promise<void> {
    if (this.#lost !== undefined) throw this.#lostFor(member.host.name);
    this.#tell(["connect", member.host.name]);
    this.#news.noteEnd();
    await this.#during(member.expectSettled());
  }

  /** The number of the job in the hop. The job is sent there once. */
  #taskOf(job: Job<unknown>): Promise<number> {
    let sent = this.#tasks.get(job);
    if (sent === undefined) {
      sent = this.#sendTask(job);
      this.#tasks.set(job, sent);
      sent.catch(() => undefined);
    }
    return sent;
  }

  /** The run has ended. */
  forget(job: Job<unknown>): void {
    const sent = this.#tasks.get(job);
    this.#tasks.delete(job);
    sent?.then(
      (taskId) => this.#tell(["forget", taskId]),
      () => undefined,
    );
  }

  async #sendTask(job: Job<unknown>): Promise<number> {
    const { request, fn } = (job.request as NonNullable<typeof job.request>)();
    const { context } = this.#hop;
    // Contexts behind the hop may then ask for the module.
    if (fn !== undefined && context !== undefined) await this.#router.functions.prepare(context, fn);
    const taskId = ++this.#lastId;
    await this.#commands?.send(["task", taskId, request, job.limits]);
    return taskId;
  }

  async #start(): Promise<void> {
    try {
      const context = await this.#hop.connect();
      const hosts = await this.#travellingHosts();
      if (this.#cancelled !== undefined) throw this.#cancelled;
      const receiver = new Receiver<FromHop>(this.#router, { respondent: context });
      this.#receiver = receiver;
      this.#unwatch = context.onDisconnect((reason) => this.#lose(new ChannelError(reason)));
      const timeoutMs = this.#plan.timeoutMs || SILENCE_MS;
      const bound = context.with({ timeoutMs });
      const commands = await bound.call(START_HOP, this.#plan, hosts, receiver.toSender());
      if (!isMadeBy(Sender, commands)) throw nonsense(this.#name);
      this.#commands = commands;
      if (this.#cancelled !== undefined) this.#tell(["cancel"]);
      // The fleet was closed meanwhile, so this must end what begins in the hop.
      if (this.#lost !== undefined) await this.#closeThere();
      await this.#during(Promise.all(this.members.map(({ settled }) => settled)));
    } catch (error) {
      this.#lose(asError(error));
    }
  }

  /** The hosts in the form for the hop. A host whose password cannot be obtained is not connected. */
  async #travellingHosts(): Promise<Host[]> {
    const hosts = await Promise.all(
      this.members.map(async (member) => {
        try {
          return [await travelling(member.host)];
        } catch (error) {
          member.settle(asError(error));
          return [];
        }
      }),
    );
    return hosts.flat();
  }

  /** Reads what the hop sends, as long as something waits. */
  async #during<T>(promise: Promise<T>): Promise<T> {
    this.#waiting += 1;
    void this.#read();
    try {
      return await promise;
    } finally {
      this.#waiting -= 1;
      if (this.#waiting === 0) this.#idle.abort();
    }
  }

  async #read(): Promise<void> {
    if (this.#isReading) return;
    this.#isReading = true;
    try {
      while (this.#waiting > 0 && this.#lost === undefined) {
        const message = await this.#next();
        if (message !== undefined) await this.#take(message.decode());
        if (this.#news.leftMs === 0) await this.#checkConnects();
      }
    } catch (error) {
      this.#lose(asError(error));
    } finally {
      this.#isReading = false;
    }
  }

  /** Waits for a message. Undefined if nothing waits any more. */
  async #next(): Promise<Message<FromHop> | undefined> {
    if (this.#idle.signal.aborted) this.#idle = new AbortController();
    const { signal } = this.#idle;
    const since = performance.now();
    try {
      return await this.#receiver?.get({ signal, timeoutMs: Math.min(this.#silenceMs, this.#news.leftMs) });
    } catch (error) {
      if (signal.aborted) return undefined;
      if (!(error instanceof TimeoutError)) throw error;
      // Its hosts may take long. A hop that hangs does not answer either, and is taken for lost.
      await this.#askForLife();
      return undefined;
    } finally {
      this.#news.noteWait(since);
    }
  }

  get #name(): string {
    return this.#hop.host.name;
  }

  get #silenceMs(): number {
    return this.#plan.timeoutMs || SILENCE_MS;
  }

  async #askForLife(): Promise<void> {
    await this.#hop.context?.with({ timeoutMs: this.#silenceMs }).call(Date.now);
  }

  /** A hop that answers, but does not report how its connects go on, is given up. */
  async #checkConnects(): Promise<void> {
    const connecting = this.members.filter(({ isConnecting }) => isConnecting);
    // Its earlier messages have arrived before this answer, even if this process was suspended.
    if (connecting.length > 0) await this.#askForLife();
    if (this.#receiver?.size() !== 0) return;
    for (const member of connecting) {
      const reason = `${this.#name} answers, but has reported nothing about its connects for ${this.#news.limitMs} ms`;
      member.settle(
        new TimeoutError(
          `Cannot reach ${member.host.name} through ${this.#name}: ${reason}; use another host in its place`,
        ),
      );
    }
    this.#news.noteEnd();
  }

  #take(message: unknown): void | Promise<void> {
    const [kind, about, ...rest] = Array.isArray(message) ? message : [];
    if (kind === "event" || kind === "result") {
      const work = this.#works.get(about);
      // It was given up meanwhile.
      if (work === undefined) return undefined;
      if (kind === "event") {
        const told = work.emit(receivedEvent(rest[0], this.#name));
        // Work that is given up does not wait for its reader.
        return told instanceof Promise ? orAbort(told, work.givenUp).catch(() => undefined) : undefined;
      }
      work.done.resolve(receivedResult(work.host, rest[0], this.#name));
      return undefined;
    }
    if (kind === "step") return this.#news.noteStep();
    const member = this.#byName.get(about);
    if (member === undefined) throw nonsense(this.#name);
    if (kind === "connecting") this.#watcher.onConnecting(member.host.name);
    else if (kind === "connected") this.#takeConnected(member, rest[0], rest[1]);
    else if (kind === "settled") {
      if (rest[0] === null && !member.wasConnected) throw nonsense(this.#name);
      if (member.isConnecting) this.#news.noteEnd();
      member.settle(rest[0] === null ? undefined : receivedError(rest[0], this.#name));
    } else throw nonsense(this.#name);
    return undefined;
  }

  #takeConnected(member: HopMember, contextId: unknown, durationMs: unknown): void {
    if (typeof contextId !== "number" || typeof durationMs !== "number") throw nonsense(this.#name);
    const context = this.#router.contexts.get(contextId);
    if (context === undefined) {
      // The report that it is gone overtakes messages that wait to be read here.
      member.use(undefined);
      return;
    }
    if (context === member.context) return;
    // It must be a context behind that hop, not another one that it names.
    let at: Context | undefined = context;
    while (at !== undefined && at !== this.#hop.context) at = at.via;
    if (at === undefined || context === this.#hop.context) throw nonsense(this.#name);
    member.use(context);
    this.#watcher.onConnected(member.host.name, context, durationMs);
  }

  #tell(message: ToHop): void {
    this.#commands?.send(message).catch(() => undefined);
  }

  #lostFor(host: string): Error {
    return new ChannelError(`Cannot reach ${host} through ${this.#name}: ${messageOf(this.#lost)}`, {
      cause: this.#lost,
    });
  }

  #lose(error: Error): void {
    if (this.#lost !== undefined) return;
    this.#lost = error;
    // The hop may be a context that the fleet does not own.
    this.#unwatch();
    this.#receiver?.close();
    for (const member of this.members) member.settle(this.#lostFor(member.host.name), true);
    for (const [, { host, done }] of this.#works) {
      done.resolve({ host, status: "unreachable", error: this.#lostFor(host), durationMs: 0 });
    }
  }
}
