/** How a host ended in a run: `unreachable` had no connection or lost it, `skipped` was not tried, or was given up. */
export type HostStatus = "ok" | "failed" | "unreachable" | "skipped";

/** What a run came to on one host. */
export interface HostResult<T = unknown> {
  /** The host's name in the inventory. */
  readonly host: string;
  /** How the host ended. */
  readonly status: HostStatus;
  /** What the function returned; only if `status` is `ok`. */
  readonly value?: T;
  /** Why the host failed, could not be reached, or was skipped. */
  readonly error?: Error;
  /** From the start of the work on this host to its end, in milliseconds, without the connect. */
  readonly durationMs: number;
  /** What was printed there meanwhile, its last part if it was long. */
  readonly output?: string;
}

/** How many hosts ended in which way. */
export type FleetSummary = Readonly<Record<HostStatus, number>>;

/** What happens in a fleet, in order: what `onEvent` is called with, and what `--ndjson` prints. */
export type FleetEvent =
  | { readonly type: "connecting"; readonly host: string }
  | { readonly type: "connected"; readonly host: string; readonly durationMs: number }
  | { readonly type: "start"; readonly host: string }
  | {
      readonly type: "output";
      readonly host: string;
      readonly stream: "stdout" | "stderr" | "log";
      /** One line, without its end. */
      readonly text: string;
    }
  | { readonly type: "progress"; readonly host: string; readonly bytes: number; readonly totalBytes?: number }
  | { readonly type: "result"; readonly result: HostResult }
  | { readonly type: "summary"; readonly summary: FleetSummary };

/** What `onEvent` is. Commands wait for the promise that it returns for their output. */
export type OnFleetEvent = (event: FleetEvent) => unknown;
