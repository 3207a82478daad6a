export type { FleetEvent, FleetSummary, HostResult, HostStatus } from "./engine/result.ts";
