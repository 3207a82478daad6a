import { DEFAULT_CONNECT_MS } from "../connection/methods/method.ts";
import type { Host } from "./config/host.ts";
import type { HopPlan } from "./engine/hop-messages.ts";
import { MAX_PAUSE_MS } from "./engine/retry.ts";

/**
 * How often the time limit of a step may begin again before the hop tells of it: a step that brings a runtime keeps the limit for the
 * login, the choice of a runtime, the look for a copy, and the start.
 */
const MAX_LIMITS = 4;
/** How much longer than that a hop may take to tell that a connect goes on. */
const GRACE_MS = 15_000;
/** How long connects may go on without the end of any. The same as for one connect. */
const MAX_WHOLE_MS = 60 * 60_000;

/** How long a hop has reported nothing about its connects. Time counts only while the program waits for the hop. */
export class HopNews {
  /** How long a hop with these hosts may report nothing. */
  readonly limitMs: number;
  #quietMs = 0;
  #sinceEndMs = 0;

  constructor(hosts: readonly Host[], { timeoutMs, retries }: HopPlan) {
    let longestMs = 0;
    for (const step of hosts.flatMap(({ steps }) => steps)) {
      const [own] = Object.values(step) as [{ readonly timeoutMs?: number }];
      longestMs = Math.max(longestMs, own.timeoutMs || timeoutMs || DEFAULT_CONNECT_MS);
    }
    this.limitMs = MAX_LIMITS * longestMs + GRACE_MS + (retries > 0 ? MAX_PAUSE_MS : 0);
  }

  /** A connect goes on. If a hop reports only this, the wait still ends. */
  noteStep(): void {
    if (this.#sinceEndMs < MAX_WHOLE_MS) this.#quietMs = 0;
  }

  /** A connect has ended, or was asked for. */
  noteEnd(): void {
    this.#quietMs = 0;
    this.#sinceEndMs = 0;
  }

  /** The program has waited since then, by `performance.now()`. */
  noteWait(since: number): void {
    const waitedMs = performance.now() - since;
    this.#quietMs += waitedMs;
    this.#sinceEndMs += waitedMs;
  }

  /** How much longer the hop may report nothing. */
  get leftMs(): number {
    return Math.max(0, Math.ceil(this.limitMs - this.#quietMs));
  }
}
