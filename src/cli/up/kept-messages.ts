import type { SentError } from "../../fleet/engine/host-error.ts";
import type { WorkEvent } from "../../fleet/engine/host-run.ts";
import type { HostResult } from "../../fleet/engine/result.ts";
import type { TransferSpec } from "../transfers/transfer-work.ts";

/** Which host is wanted, and how it must be reached. */
export interface Wanted {
  readonly name: string;
  readonly key: string;
}

/** Work as it travels to the process of `mitogen up`. */
export type KeptWork =
  | {
      readonly kind: "call";
      readonly module: string;
      readonly path: readonly string[];
      readonly args: readonly unknown[];
    }
  | { readonly kind: "exec"; readonly command: string | readonly string[]; readonly options: object }
  | { readonly kind: "ping" }
  | { readonly kind: "facts" }
  | { readonly kind: "transfer"; readonly spec: TransferSpec };

/** The limits of the work on one host. */
export interface KeptLimits {
  readonly timeoutMs?: number;
  readonly retries?: number;
}

/** What happens on the host, and at the end the result. Its output has been told as events. */
export type KeptMessage =
  | { readonly type: "event"; readonly event: WorkEvent }
  | {
      readonly type: "result";
      readonly result: Omit<HostResult, "output" | "error">;
      readonly error?: SentError;
    };
