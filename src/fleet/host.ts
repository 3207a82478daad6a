export type { Host, Step, StepMethod, StepOptions } from "./config/host.ts";
