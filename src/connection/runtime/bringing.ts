import { RuntimeStore } from "./store.ts";
import { ProgramSupply, type Runtimes } from "./choose.ts";
import { provisionerOf } from "./provisioner.ts";
import type { RuntimeSupply } from "./plan.ts";

/** What a program loads with the first target that has no node. */
export { provisionerOf as provisioner };

/** One for all routers: each pack is made once. */
export const runtimeStore: RuntimeStore = new RuntimeStore();

export function programSupply(runtimes: Runtimes): RuntimeSupply {
  return new ProgramSupply(runtimeStore, runtimes);
}
