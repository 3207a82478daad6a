import type {
  Provisioning,
  ProvisionMode,
  ProvisionProgress,
  ProvisionTarget,
  RuntimeSupply,
} from "../plan.ts";
import { bringCopy } from "./cache-provisioning.ts";
import { bringIntoMemory } from "./memory-provisioning.ts";
import { failureOf } from "./provision-failures.ts";
import { TargetTalk } from "./target-talk.ts";

/**
 * Gives targets a node from a supply, in the program or in a hop. `onStep` is called at every step, with figures while
 * a runtime is sent.
 */
export function provisionerOf(
  mode: ProvisionMode,
  supply: RuntimeSupply,
  onStep: (progress: ProvisionProgress | undefined) => void,
): (target: ProvisionTarget) => Provisioning {
  const bring = mode === "cache" ? bringCopy : bringIntoMemory;
  return (target) => {
    const told: ProvisionTarget = {
      ...target,
      progress(sentBytes, totalBytes) {
        target.progress(sentBytes, totalBytes);
        const isSending = sentBytes !== undefined && totalBytes !== undefined;
        onStep(isSending ? { method: target.method, sentBytes, totalBytes } : undefined);
      },
    };
    const talk = new TargetTalk(told, supply);
    const start = async (): Promise<void> => {
      const plans = await talk.within(supply.choose(target.system));
      told.progress();
      await bring(told, talk, plans);
    };
    start().catch((error) => target.fail(failureOf(error)));
    return talk;
  };
}
