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
} from "./inventory/config.ts";
export type { Host, Step, StepMethod, StepOptions } from "./inventory/host.ts";
export { Inventory, type LoadOptions } from "./inventory/inventory.ts";
export { InventoryError } from "./inventory/inventory-error.ts";
export type { SelectOptions } from "./inventory/selection.ts";
export type { FleetEvent, FleetSummary, HostResult, HostStatus } from "./result.ts";
