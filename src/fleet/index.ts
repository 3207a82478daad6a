/** The public API of `mitogen/fleet`. */

export {
  type ConfigSource,
  type DetailedGroup,
  type DetailedHost,
  defineConfig,
  type HostEntry,
  type InventoryConfig,
  type MemberList,
  type Members,
  type NamedHost,
  type StepEntry,
  type Variables,
} from "./config/config.ts";
export type { Host, Step, StepMethod, StepOptions } from "./config/host.ts";
export { InventoryError } from "./config/inventory-error.ts";
export type { Facts } from "./engine/facts.ts";
export type { WorkEvent, WorkTools } from "./engine/host-run.ts";
export type {
  FleetEvent,
  FleetSummary,
  HostFailure,
  HostResult,
  HostStatus,
  HostSuccess,
  OnFleetEvent,
} from "./engine/result.ts";
export { Fleet } from "./fleet.ts";
export type { FleetExecOptions, FleetOptions, FleetRunOptions } from "./fleet-options.ts";
export { FleetRun } from "./fleet-run.ts";
export { Inventory, type LoadOptions } from "./inventory/inventory.ts";
export type { SelectOptions } from "./inventory/selection.ts";
export type { TaskArgument, TaskDescription, TaskOptions } from "./task-options.ts";
