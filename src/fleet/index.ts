/** The public API of `mitogen/fleet`. */

export type { Host, Step, StepMethod, StepOptions } from "./host.ts";
export type { FleetEvent, FleetSummary, HostResult, HostStatus } from "./result.ts";
