import { MitogenError } from "../errors.ts";
import type { Context } from "./context.ts";

/** What a function knows of the call that runs it. */
export interface CurrentCall {
  /** Aborts when the caller no longer waits: its time ran out, its own signal aborted, its context is gone. */
  readonly signal: AbortSignal;
  /** The context that made the call. */
  readonly source: Context;
}

/**
 * Inside a remote call, after an `await` too: the call. Throws a MitogenError elsewhere, and in a call that was running before
 * anything in its context had imported `mitogen`.
 *
 * ```ts
 * export async function watch(url: string): Promise<void> {
 *   const { signal } = currentCall();
 *   while (!signal.aborted) await fetch(url, { signal });
 * }
 * ```
 */
export function currentCall(): CurrentCall {
  throw new MitogenError("Cannot get the current call: this code runs in the master, not in a call");
}
