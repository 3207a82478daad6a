import type { Provision } from "../../connection/methods/method.ts";
import type { Sender } from "../../core/sender.ts";
import { FLEET } from "../../functions/api-ref.ts";
import { FunctionRef } from "../../functions/callable.ts";
import type { Host } from "../config/host.ts";
import type { SentError } from "./host-error.ts";
import type { WorkEvent, WorkLimits, WorkResult } from "./host-run.ts";

/** The messages between a program and the part of its fleet in a hop. */

/** How the hop connects its hosts. */
export interface HopPlan {
  readonly concurrency: number;
  readonly timeoutMs?: number | undefined;
  readonly retries: number;
  readonly provision?: Provision | undefined;
}

/** Work as it travels to a hop. */
export type WorkRequest =
  | readonly ["call", module: string, path: readonly string[], args: readonly unknown[]]
  | readonly ["exec", command: string | readonly string[], options: object]
  | readonly ["ping"]
  | readonly ["facts"];

export type ToHop =
  /** From now on, work of that number can be asked for. */
  | readonly ["task", taskId: number, request: WorkRequest, limits: WorkLimits]
  | readonly ["forget", taskId: number]
  | readonly ["work", workId: number, taskId: number, host: string]
  /** The work is given up. */
  | readonly ["giveUp", workId: number]
  /** A lost host is to be connected again. */
  | readonly ["connect", host: string]
  /** Connects that run are given up. */
  | readonly ["cancel"];

export type SentResult = Omit<WorkResult<unknown>, "error"> & { readonly error?: SentError };

export type FromHop =
  | readonly ["connecting", host: string]
  /** A connect of any host goes on: its next step begins, or a runtime is on its way. */
  | readonly ["step"]
  | readonly ["connected", host: string, contextId: number, durationMs: number]
  /** A connect that was asked for, or the first one, has ended. */
  | readonly ["settled", host: string, error: SentError | null]
  | readonly ["event", workId: number, event: WorkEvent]
  | readonly ["result", workId: number, result: SentResult];

/** Starts the part of a fleet that is in a hop. Returns where it takes messages. */
export const START_HOP: FunctionRef<
  readonly [plan: HopPlan, hosts: readonly Host[], events: Sender<FromHop>],
  Sender<ToHop>
> = new FunctionRef(FLEET, ["startHop"]);

/** Ends the contexts that a hop has started. Its number is the handle of the sender. */
export const CLOSE_HOP: FunctionRef<readonly [handle: number], void> = new FunctionRef(FLEET, ["closeHop"]);
