import type {
  Provisioning,
  ProvisionMode,
  ProvisionProgress,
  ProvisionTarget,
  RuntimeSupply,
} from "../plan.ts";
import { CacheProvisioning } from "./cache-provisioning.ts";
import { MemoryProvisioning } from "./memory-provisioning.ts";

/**
 * How targets get a node from a supply, here or in a hop. `onStep` is called at every step, with figures
 * while a runtime is sent.
 */
export function provisionerOf(
  mode: ProvisionMode,
  supply: RuntimeSupply,
  onStep: (progress: ProvisionProgress | undefined) => void,
): (target: ProvisionTarget) => Provisioning {
  return (target) => {
    const told: ProvisionTarget = {
      ...target,
      progress(sentBytes, totalBytes) {
        target.progress(sentBytes, totalBytes);
        const isSending = sentBytes !== undefined && totalBytes !== undefined;
        onStep(isSending ? { method: target.method, sentBytes, totalBytes } : undefined);
      },
    };
    return mode === "cache" ? new CacheProvisioning(told, supply) : new MemoryProvisioning(told, supply);
  };
}
