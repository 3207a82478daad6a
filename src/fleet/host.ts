export type { Host, Step, StepMethod, StepOptions } from "./inventory/host.ts";
