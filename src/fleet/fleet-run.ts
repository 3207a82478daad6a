import { MitogenError } from "../errors.ts";
import { getLogger } from "../logging/log.ts";
import { newAbortEnd } from "../waiting/abort-end.ts";
import { Deferred } from "../waiting/deferred.ts";
import { onAbort, watchBounds } from "../waiting/wait.ts";
import { headOf } from "../wire/values/thrown.ts";
import { asError } from "./engine/connections.ts";
import { GivenUp, type WorkEvent, type WorkResult, type WorkTools } from "./engine/host-run.ts";
import type { FleetEvent, FleetSummary, HostResult, HostStatus, OnFleetEvent } from "./engine/result.ts";
import type { Share, TakenRunOptions } from "./fleet-options.ts";
import { boundedLine, LineTail, type OutputLine } from "./host-output.ts";
import { withoutOwnLines } from "./own-lines.ts";

/** One host as a run sees it. */
export interface RunMember<T> {
  readonly name: string;
  /** Resolves when its connect has ended: with undefined if it can be worked on, otherwise with the reason. */
  reachable(): Promise<Error | undefined>;
  /** Does the work. Never rejects. */
  work(givenUp: AbortSignal, emit: WorkTools["emit"]): Promise<WorkResult<T>>;
  /** Listens to what the host prints by itself. */
  listen(listener: (line: OutputLine) => void): () => void;
}

const DEFAULT_CONCURRENCY = 32;
/** How many results may wait for a reader before no further host begins. */
const MAX_UNREAD = 256;

/** How long after its time limit the result of a host may come from a hop, or from the process of `mitogen up`. */
const GRACE_MS = 10_000;

const log = getLogger("mitogen.fleet");

/**
 * A run of a function or a command on the hosts of a fleet. It begins when you iterate it, once, or call {@link all}.
 * The iteration yields the results as hosts end. Leaving the loop gives up the rest of the run. A slow reader delays
 * further hosts, so that results do not pile up.
 *
 * ```ts
 * for await (const { host, status, value, error } of fleet.run(restart, ["nginx"])) console.log(host, status, value ?? error);
 * ```
 */
export class FleetRun<T> implements AsyncIterable<HostResult<T>> {
  readonly #members: readonly RunMember<T>[];
  readonly #options: TakenRunOptions;
  readonly #onOver: () => void;
  readonly #counts: Record<HostStatus, number> = { ok: 0, failed: 0, unreachable: 0, skipped: 0 };
  readonly #maxFailures: number;
  readonly #end: ReturnType<typeof newAbortEnd> = newAbortEnd();
  /** The members of batches that have not begun, in order. */
  readonly #batches: RunMember<T>[][];
  /** The members of the running batch that have not ended. */
  readonly #open: Set<RunMember<T>> = new Set();
  /** Those of them that are connected and wait for their turn. */
  readonly #ready: RunMember<T>[] = [];
  readonly #running: Set<RunMember<T>> = new Set();
  readonly #results: HostResult<T>[] = [];
  #stopReason: Error | undefined;
  #reader: Deferred<void> | undefined;
  #isStarted = false;
  #isOver = false;
  #unwatch: () => void = () => undefined;

  /** @internal */
  constructor(
    members: readonly RunMember<T>[],
    options: TakenRunOptions,
    onOver: () => void = () => undefined,
  ) {
    this.#onOver = onOver;
    this.#members = members;
    this.#options = options;
    this.#maxFailures =
      options.maxFail === undefined ? Infinity : countOf(options.maxFail, members.length, Math.floor);
    this.#batches = batchesOf(members, options.batch);
  }

  /** How many hosts have ended so far with each status. */
  get summary(): FleetSummary {
    return { ...this.#counts };
  }

  /**
   * Runs to the end. Resolves with the results of all hosts, in the fleet's order. Failures are results: see `status`.
   */
  async all(): Promise<HostResult<T>[]> {
    const results = new Map<string, HostResult<T>>();
    for await (const result of this) results.set(result.host, result);
    return this.#members.flatMap(({ name }) => results.get(name) ?? []);
  }

  /** The results, as hosts end. Throws a MitogenError at the second iteration of a run. */
  async *[Symbol.asyncIterator](): AsyncGenerator<HostResult<T>, void, undefined> {
    if (this.#isStarted) {
      throw new MitogenError(
        "Cannot iterate a run of a fleet twice: its results are given out once; start another run",
      );
    }
    this.#isStarted = true;
    this.#start();
    try {
      for (;;) {
        const result = this.#results.shift();
        if (result !== undefined) {
          this.#begin();
          yield result;
        } else if (this.#isOver) return;
        else {
          this.#reader = new Deferred();
          await this.#reader.promise;
        }
      }
    } finally {
      this.#giveUp(new MitogenError("Nobody reads the results of the run any more"));
    }
  }

  #start(): void {
    const { signal } = this.#options;
    if (signal !== undefined) this.#unwatch = onAbort(signal, () => this.#giveUp(signal.reason));
    this.#openBatch();
  }

  #openBatch(): void {
    const batch = this.#batches.shift();
    if (batch === undefined || this.#isOver) {
      this.#finish();
      return;
    }
    for (const member of batch) this.#open.add(member);
    for (const member of batch) {
      void member.reachable().then((error) => {
        // It was skipped meanwhile.
        if (!this.#open.has(member)) return;
        if (error === undefined) this.#ready.push(member);
        else this.#note(member, { host: member.name, status: "unreachable", error, durationMs: 0 });
        this.#begin();
      });
    }
  }

  /** Begins with as many hosts as there is room for. */
  #begin(): void {
    const { concurrency = DEFAULT_CONCURRENCY } = this.#options;
    while (this.#running.size < concurrency && this.#results.length < MAX_UNREAD) {
      const member = this.#ready.shift();
      if (member === undefined) return;
      this.#running.add(member);
      void this.#work(member);
    }
  }

  async #work(member: RunMember<T>): Promise<void> {
    const { name: host } = member;
    const tail = new LineTail();
    const emit = (event: WorkEvent): void | Promise<void> => {
      if (event.type === "progress") return this.#emit({ ...event, host });
      const text = boundedLine(event.text);
      tail.add(text);
      return this.#emit({ type: "output", host, stream: event.stream, text });
    };
    void this.#emit({ type: "start", host });
    // A function cannot wait until its output is read.
    const stopListening = member.listen((line) => void emit({ type: "output", ...line }));
    const result = await this.#bounded(member, emit);
    stopListening();
    this.#running.delete(member);
    const output = tail.text;
    this.#note(member, output === undefined ? result : { ...result, output });
    this.#begin();
  }

  /** Does the work. The worker keeps the time limit; if it does not, the run no longer waits for it. */
  async #bounded(member: RunMember<T>, emit: WorkTools["emit"]): Promise<WorkResult<T>> {
    const { timeoutMs } = this.#options;
    const end = newAbortEnd();
    let late: unknown;
    const stopWatching = [
      onAbort(this.#end.signal, () => end.abort(this.#end.signal.reason)),
      watchBounds(
        { timeoutMs: timeoutMs && timeoutMs + GRACE_MS },
        () => `work on ${member.name}, which was to take ${timeoutMs} ms at most`,
        (error) => {
          late = error;
          end.abort(new GivenUp(error));
        },
        "end of it",
      ),
    ];
    const result = await member.work(end.signal, emit);
    for (const stop of stopWatching) stop();
    return late !== undefined && result.status === "skipped" ? { ...result, status: "failed" } : result;
  }

  /** A host has ended. */
  #note(member: RunMember<T>, result: HostResult<T>): void {
    if (result.error !== undefined) withoutOwnLines(result.error);
    this.#open.delete(member);
    this.#counts[result.status] += 1;
    this.#results.push(result);
    void this.#emit({ type: "result", result });
    const { failed, unreachable } = this.#counts;
    if (failed + unreachable > this.#maxFailures && this.#stopReason === undefined) {
      const count = failed + unreachable === 1 ? "1 host has" : `${failed + unreachable} hosts have`;
      this.#stop(
        new MitogenError(`The host was not tried: ${count} failed, and maxFail allows ${this.#maxFailures}`),
      );
    }
    if (this.#open.size === 0) this.#openBatch();
    this.#wake();
  }

  /** No further host begins. */
  #stop(reason: Error): void {
    this.#stopReason = reason;
    this.#ready.length = 0;
    const rest = [...this.#open].filter((member) => !this.#running.has(member));
    rest.push(...this.#batches.splice(0).flat());
    for (const member of rest) {
      this.#open.delete(member);
      const result: HostResult<T> = { host: member.name, status: "skipped", error: reason, durationMs: 0 };
      this.#counts.skipped += 1;
      this.#results.push(result);
      void this.#emit({ type: "result", result });
    }
  }

  /** Ends the work that runs, too. */
  #giveUp(reason: unknown): void {
    if (this.#isOver) return;
    if (this.#stopReason === undefined) this.#stop(asError(reason));
    this.#end.abort(new GivenUp(reason));
    if (this.#open.size === 0) this.#finish();
  }

  #finish(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#unwatch();
    this.#onOver();
    void this.#emit({ type: "summary", summary: this.summary });
    this.#wake();
  }

  #wake(): void {
    this.#reader?.resolve();
    this.#reader = undefined;
  }

  #emit(event: FleetEvent): void | Promise<void> {
    return emitEvent(this.#options.onEvent, event);
  }
}

/**
 * Calls the program's `onEvent`. If that returns a promise, returns one that never rejects. Errors are logged.
 */
export function emitEvent(onEvent: OnFleetEvent | undefined, event: FleetEvent): void | Promise<void> {
  const failed = (error: unknown): void => log.error(`onEvent threw an error: ${headOf(error)}`);
  try {
    const told = onEvent?.(event);
    return told instanceof Promise ? told.then(() => undefined, failed) : undefined;
  } catch (error) {
    failed(error);
  }
}

/** How many of `total` hosts a share is. */
function countOf({ count, percent = 0 }: Share, total: number, round: (n: number) => number): number {
  return count ?? round((total * percent) / 100);
}

/** Distributes hosts over batches. The last size is repeated. */
export function batchesOf<M>(members: readonly M[], sizes: readonly Share[] | undefined): M[][] {
  if (sizes === undefined) return members.length === 0 ? [] : [[...members]];
  const batches: M[][] = [];
  for (let start = 0, turn = 0; start < members.length; turn++) {
    const share = sizes[Math.min(turn, sizes.length - 1)] as Share;
    const size = Math.max(1, countOf(share, members.length, Math.ceil));
    batches.push(members.slice(start, start + size));
    start += size;
  }
  return batches;
}
