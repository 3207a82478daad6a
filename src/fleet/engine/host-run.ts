import type { Context } from "../../core/context.ts";
import { ChannelError, TimeoutError } from "../../errors.ts";
import { newAbortEnd } from "../../waiting/abort-end.ts";
import { monotonicMs } from "../../waiting/monotonic.ts";
import { onAbort, watchBounds } from "../../waiting/wait.ts";
import type { Host } from "../config/host.ts";
import { asError } from "./connections.ts";
import type { HostFailure, HostSuccess } from "./result.ts";
import { isMisuse, orAbort, pauseBeforeRetry } from "./retry.ts";

/** Output or progress that the work on a host reports. */
export type WorkEvent =
  | { readonly type: "output"; readonly stream: "stdout" | "stderr" | "log"; readonly text: string }
  | { readonly type: "progress"; readonly bytes: number; readonly totalBytes?: number };

/** The third argument of a function given to `fleet.each`. */
export interface WorkTools {
  /** Aborts when the work must end: its time is up, or the run was given up. */
  readonly signal: AbortSignal;
  /** Reports output or progress of the host. Await a returned promise, so that output does not pile up. */
  emit(event: WorkEvent): void | Promise<void>;
}

/** The connection of a host, from here or from a hop. */
export interface Connection {
  readonly host: Host;
  readonly context: Context | undefined;
  /** Why it cannot be reached. */
  readonly failure: Error | undefined;
  connect(): Promise<Context>;
}

/** Work on one host. */
export type Work<T> = (context: Context, host: Host, tools: WorkTools) => Promise<T>;

/** The limits of the work on each host. */
export interface WorkLimits {
  /** For all tries together, in milliseconds. */
  readonly timeoutMs?: number | undefined;
  /** How often work that failed is tried again. */
  readonly retries: number;
  /** Whether a host that is lost is connected again, once, and the work repeated. */
  readonly repeatable: boolean;
}

/** The result of the work, without the host's output, which is added where it is collected. */
export type WorkResult<T> = Omit<HostSuccess<T>, "output"> | Omit<HostFailure, "output">;

/** The reason for ending the work if the run is given up: the host ends as `skipped`. */
export class GivenUp {
  readonly reason: unknown;

  constructor(reason: unknown) {
    this.reason = reason;
  }
}

/**
 * Does the work on one host, with retries, within the limits. Never rejects. `givenUp` aborts with a
 * {@link GivenUp}.
 */
export async function runOnHost<T>(
  connection: Connection,
  work: Work<T>,
  limits: WorkLimits,
  givenUp: AbortSignal,
  emit: WorkTools["emit"],
): Promise<WorkResult<T>> {
  const { host } = connection;
  const start = monotonicMs();
  const end = newAbortEnd();
  const stopWatching = [
    onAbort(givenUp, () => end.abort(givenUp.reason)),
    watchBounds(
      { timeoutMs: limits.timeoutMs },
      () => `work on ${host.name}`,
      end.abort.bind(end),
      "end of it",
    ),
  ];
  const failed = (status: HostFailure["status"], error: unknown): WorkResult<T> => ({
    ...{ host: host.name, status, error: asError(error), durationMs: monotonicMs() - start },
  });
  try {
    const value = await new Tries(connection, work, limits, end.signal, emit).run();
    return { host: host.name, status: "ok", value, durationMs: monotonicMs() - start };
  } catch (error) {
    if (error instanceof GivenUp) return failed("skipped", error.reason);
    const isLost = error instanceof Unreachable;
    return failed(isLost ? "unreachable" : "failed", isLost ? error.cause : error);
  } finally {
    for (const stop of stopWatching) stop();
    // Aborts the signal for work that still goes on: nobody waits for it any more.
    end.abort(new TimeoutError(`The work on ${host.name} has ended`));
  }
}

/** The connection was lost, and there is no other one. */
class Unreachable {
  readonly cause: unknown;

  constructor(cause: unknown) {
    this.cause = cause;
  }
}

class Tries<T> {
  readonly #connection: Connection;
  readonly #work: Work<T>;
  readonly #limits: WorkLimits;
  readonly #signal: AbortSignal;
  readonly #emit: WorkTools["emit"];
  #isReconnected = false;
  #isOver = false;

  constructor(
    connection: Connection,
    work: Work<T>,
    limits: WorkLimits,
    signal: AbortSignal,
    emit: WorkTools["emit"],
  ) {
    this.#connection = connection;
    this.#work = work;
    this.#limits = limits;
    this.#signal = signal;
    this.#emit = emit;
  }

  async run(): Promise<T> {
    try {
      for (let failures = 0; ; ) {
        const context = await this.context();
        try {
          return await orAbort(this.work(context), this.#signal);
        } catch (error) {
          if (this.#signal.aborted) throw this.#signal.reason;
          if (error instanceof ChannelError && !context.isConnected) {
            if (!this.#limits.repeatable || this.#isReconnected) throw new Unreachable(error);
            // The next turn connects it again.
            continue;
          }
          if (failures >= this.#limits.retries || isMisuse(error)) throw error;
          await pauseBeforeRetry(failures, this.#signal);
          failures += 1;
        }
      }
    } finally {
      this.#isOver = true;
    }
  }

  private async work(context: Context): Promise<T> {
    const emit: WorkTools["emit"] = (event) => {
      // Work that has been given up may go on for a while.
      if (!this.#isOver) return this.#emit(event);
    };
    return await this.#work(context, this.#connection.host, { signal: this.#signal, emit });
  }

  /** The host's context. It is connected again if it may be, once. */
  private async context(): Promise<Context> {
    const { context, failure } = this.#connection;
    if (context !== undefined) return context;
    if (!this.#limits.repeatable || this.#isReconnected) throw new Unreachable(failure);
    this.#isReconnected = true;
    try {
      return await orAbort(this.#connection.connect(), this.#signal);
    } catch (error) {
      throw this.#signal.aborted ? this.#signal.reason : new Unreachable(error);
    }
  }
}
