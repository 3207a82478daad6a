import type { FunctionName } from "../../src/functions/function-name.ts";
import { servicesInChild } from "../../src/service/services-in-child.ts";
import { Handle } from "../../src/wire/handles.ts";
import { FakeFunctions } from "./fake-functions.ts";
import { masterAndChild, type Pair } from "./fake-tree.ts";

/** A master and its child, both able to call services and to have a pool. */
export function servicePair(): Pair & { functions: FakeFunctions } {
  const pair = masterAndChild();
  const functions = new FakeFunctions();
  for (const router of [pair.master, pair.child]) router.functions = functions;
  return { ...pair, functions };
}

/** The same, where the child starts services by itself: `load` finds their classes. */
export function activatingPair(
  load: (name: FunctionName) => Promise<{ fn: unknown }>,
): ReturnType<typeof servicePair> {
  const pair = servicePair();
  const { acceptServiceCall } = servicesInChild(pair.child, { load });
  pair.child.addHandler(acceptServiceCall as never, { handle: Handle.CALL_SERVICE, service: true });
  return pair;
}

/** The error with which a promise rejects. */
export async function failureOf(promise: Promise<unknown>): Promise<Error & { code: string }> {
  const outcome = await promise.then(
    () => undefined,
    (error) => error as Error & { code: string },
  );
  if (outcome === undefined) throw new Error("it did not reject");
  return outcome;
}

/** A promise's value if it is settled, or "pending", without waiting for it. */
export const stateOf = (promise: Promise<unknown>): Promise<unknown> =>
  Promise.race([promise, new Promise((resolve) => setImmediate(resolve, "pending"))]);
