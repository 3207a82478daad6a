import { PROVISION_PART } from "../../../bootstrap/provision.generated.ts";
import { ProvisionFailure, type RuntimeSupply } from "../plan.ts";
import { provisionerOf } from "../targets/provisioner.ts";
import { ProgramSupply, type Runtimes } from "./choose.ts";
import { runtimeStore } from "./store.ts";

/** The code that a program loads for the first target without node. */
export { provisionerOf as provisioner };

export function programSupply(runtimes: Runtimes): RuntimeSupply {
  return new ProgramSupply(runtimeStore, runtimes);
}

/** Answers a context that brings a node to its own children. Throws if the request is malformed. */
export async function answerHop(
  runtimes: Runtimes,
  kind: unknown,
  first: unknown,
  packedBytes: unknown,
  offset: unknown,
): Promise<unknown> {
  if (kind === "code") return Buffer.from(PROVISION_PART, "base64");
  if (kind === "choose" && typeof first === "string") {
    try {
      const plans = await programSupply(runtimes).choose(first);
      // The paths of its sources are not sent.
      return { plans: plans.map((plan) => ({ ...plan, sources: [] })) };
    } catch (error) {
      if (!(error instanceof ProvisionFailure)) throw error;
      return { failed: [error.code, error.message, error.hint] };
    }
  }
  if (kind === "read" && typeof first === "string") {
    const plan = runtimeStore.find(first);
    if (plan !== undefined && plan.packedBytes === packedBytes && isOffset(offset, packedBytes)) {
      return await runtimeStore.read(plan, offset);
    }
    throw new RangeError("Cannot bring a runtime: it has no such part");
  }
  throw new TypeError("Cannot bring a runtime: the request is malformed");
}

function isOffset(offset: unknown, end: number): offset is number {
  return typeof offset === "number" && Number.isSafeInteger(offset) && offset >= 0 && offset < end;
}
