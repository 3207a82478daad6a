import type { Provision } from "../../connection/methods/method.ts";
import type { SentResult, WorkRequest } from "../../fleet/engine/hop-messages.ts";
import type { WorkEvent } from "../../fleet/engine/host-run.ts";
import type { Secret } from "../../wire/values/secret.ts";
import type { TransferSpec } from "../transfers/transfer-work.ts";

/** Which host is wanted, and how it must be reached. */
export interface Wanted {
  readonly name: string;
  readonly key: string;
}

/**
 * Work as it travels to the process of `mitogen up`, and to hops. Only the messages are the same. `mitogen up` gets
 * ordinary calls, one stream for each host of a command. A hop has one stream for all of its hosts, because that also
 * reports connects, gets the work once for all hosts, and must not keep the program alive while nobody waits.
 */
export type KeptWork = WorkRequest | readonly ["transfer", spec: TransferSpec];

/** The limits of the work on one host. */
export interface KeptLimits {
  readonly timeoutMs?: number;
  readonly retries?: number;
}

/** Another user behind a kept connection, for the work of one command. */
export interface Become {
  readonly username?: string;
  readonly password?: Secret;
  readonly timeoutMs?: number;
  readonly provision?: Provision;
}

/**
 * The events of the host, and at the end the result. Its output came as events. `lost` lines of its functions came
 * faster than they were read.
 */
export type KeptMessage =
  | { readonly type: "event"; readonly event: WorkEvent }
  | { readonly type: "lost"; readonly lines: number }
  | { readonly type: "result"; readonly result: SentResult };
