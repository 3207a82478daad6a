export type { FleetEvent, FleetSummary, HostResult, HostStatus, OnFleetEvent } from "./engine/result.ts";
