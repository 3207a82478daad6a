import type { Context } from "../core/context.ts";
import { ChannelError } from "../errors.ts";
import { Deferred } from "../waiting/deferred.ts";
import type { Host } from "./config/host.ts";
import { runOnHost, type WorkResult, type WorkTools } from "./engine/host-run.ts";
import type { FleetMember, Job } from "./job.ts";

/** Connects hosts behind a hop, and works on them, there. */
export interface HopWorker {
  /** Connects a lost host again. */
  connect(member: HopMember): Promise<void>;
  /** Never rejects. */
  work<T>(host: string, job: Job<T>, givenUp: AbortSignal, emit: WorkTools["emit"]): Promise<WorkResult<T>>;
}

/** A host behind a hop. */
export class HopMember implements FleetMember {
  readonly host: Host;
  readonly settled: Promise<void>;
  wasConnected = false;
  readonly #hop: HopWorker;
  readonly #first: Deferred<void> = new Deferred();
  readonly #expected: Deferred<void>[] = [];
  #isSettled = false;
  #context: Context | undefined;
  #failure: Error | undefined;

  constructor(hop: HopWorker, host: Host) {
    this.host = host;
    this.settled = this.#first.promise;
    this.#hop = hop;
  }

  get context(): Context | undefined {
    return this.#context?.isConnected === true ? this.#context : undefined;
  }

  get failure(): Error | undefined {
    const lost = this.#context?.goneReason;
    return this.#failure ?? (lost === undefined ? undefined : new ChannelError(lost));
  }

  /** Whether a connect is under way in the hop, as far as it is known here. @internal */
  get isConnecting(): boolean {
    return !this.#isSettled || this.#expected.length > 0;
  }

  async connect(): Promise<Context> {
    await this.#hop.connect(this);
    const { context } = this;
    if (context === undefined) throw this.failure;
    return context;
  }

  async work<T>(job: Job<T>, givenUp: AbortSignal, emit: WorkTools["emit"]): Promise<WorkResult<T>> {
    return job.request === undefined
      ? await runOnHost(this, job.work, job.limits, givenUp, emit)
      : await this.#hop.work(this.host.name, job, givenUp, emit);
  }

  /** Its context, or undefined if that is gone already. @internal */
  use(context: Context | undefined): void {
    this.#context = context;
    this.#failure =
      context === undefined
        ? new ChannelError(`${this.host.name}: the connection was lost as soon as it was there`)
        : undefined;
    this.wasConnected = true;
  }

  /** A connect has ended, or the hop is lost. @internal */
  settle(failure: Error | undefined, isLost = false): void {
    if (isLost || failure !== undefined) this.#failure = failure;
    this.#isSettled = true;
    this.#first.resolve();
    for (const expected of this.#expected.splice(0)) expected.resolve();
  }

  /** Resolves when the next connect has ended. @internal */
  expectSettled(): Promise<void> {
    const expected = new Deferred<void>();
    this.#expected.push(expected);
    return expected.promise;
  }
}
