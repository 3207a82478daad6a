import { CacheProvisioning } from "./cache-provisioning.ts";
import { MemoryProvisioning } from "./memory-provisioning.ts";
import type {
  Provisioning,
  ProvisionMode,
  ProvisionProgress,
  ProvisionTarget,
  RuntimeSupply,
} from "./plan.ts";

/** How targets get a node from a supply, here or in a hop. */
export function provisionerOf(
  mode: ProvisionMode,
  supply: RuntimeSupply,
  onProgress?: (progress: ProvisionProgress) => void,
): (target: ProvisionTarget) => Provisioning {
  return (target) => {
    const told: ProvisionTarget = {
      ...target,
      progress(sentBytes, totalBytes) {
        target.progress(sentBytes, totalBytes);
        if (sentBytes === undefined || totalBytes === undefined) return;
        onProgress?.({ method: target.method, sentBytes, totalBytes });
      },
    };
    return mode === "cache" ? new CacheProvisioning(told, supply) : new MemoryProvisioning(told, supply);
  };
}
