/**
 * How a host ended in a run. `unreachable`: it had no connection, or lost it. `skipped`: it was not tried, or given up.
 */
export type HostStatus = "ok" | "failed" | "unreachable" | "skipped";

/** The result of a run on one host. If you compare `status` with `"ok"`, TypeScript knows whether there is a `value`. */
export type HostResult<T = unknown> = HostSuccess<T> | HostFailure;

/** The result of a host on which the work succeeded. */
export interface HostSuccess<T = unknown> extends HostEnd {
  /** The work returned. */
  readonly status: "ok";
  /** What the function returned. */
  readonly value: T;
  /** Always absent. */
  readonly error?: undefined;
}

/** The result of a host on which the work did not succeed. */
export interface HostFailure extends HostEnd {
  /** How the host ended. */
  readonly status: "failed" | "unreachable" | "skipped";
  /** Always absent. */
  readonly value?: undefined;
  /** Why the host failed, could not be reached, or was skipped. */
  readonly error: Error;
}

/** What every result of a host has. */
export interface HostEnd {
  /** The host's name in the inventory. */
  readonly host: string;
  /** Milliseconds from the start of the work on this host to its end, without the connect. */
  readonly durationMs: number;
  /** What the host printed during the work; only the last part if that is long. */
  readonly output?: string;
}

/** How many hosts ended with each status. */
export type FleetSummary = Readonly<Record<HostStatus, number>>;

/** An event of a fleet: the argument of `onEvent`, and a line of `--ndjson`. */
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

/** The type of `onEvent`. A command waits for the promise that `onEvent` returns for its output. */
export type OnFleetEvent = (event: FleetEvent) => unknown;
