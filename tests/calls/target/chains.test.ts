import assert from "node:assert/strict";
import { test } from "node:test";
import { CallChain } from "../../../src/calls/caller/call-chain.ts";
import { Chains, MAX_CHAINS } from "../../../src/calls/target/chains.ts";
import type { Call, Outcome } from "../../../src/calls/target/dispatcher.ts";
import { CallError } from "../../../src/errors.ts";
import { fakeChild } from "../../support/fake-child.ts";

const call = (srcId: number, chain: number): Call =>
  ({ message: { srcId }, chain, cancelReason: undefined }) as unknown as Call;

/** Runs a call of a chain. Returns the refusal it got, or "ran". */
function runIn(chains: Chains, srcId: number, chain: number, outcome?: Outcome): unknown {
  let result: unknown = "waits";
  chains.run(call(srcId, chain), (refusal) => {
    result = refusal ?? "ran";
    return refusal === undefined ? outcome : (refusal as Outcome);
  });
  return result instanceof Error ? result.message : result;
}

const failure = new CallError("Error: no");

test("Chains refuses a call of an unknown chain, because an earlier call may have failed", () => {
  const chains = new Chains();
  assert.match(String(runIn(chains, 0, 1)), /its chain is not known here.*reset\(\)/);
  chains.open(0, 1);
  assert.equal(runIn(chains, 0, 1), "ran");
  chains.close(0, 1);
  assert.match(String(runIn(chains, 0, 1)), /not known here/);
});

test("Chains distinguishes chains of different callers", () => {
  const chains = new Chains();
  chains.open(0, 1);
  chains.open(7, 1);
  runIn(chains, 0, 1, failure);
  assert.equal(runIn(chains, 0, 1), "Error: no");
  assert.equal(runIn(chains, 7, 1), "ran");
});

test("Chains forgets the least recently used chain beyond its bound, and all chains of a caller that goes", () => {
  const chains = new Chains();
  for (let id = 1; id <= MAX_CHAINS; id++) chains.open(0, id);
  assert.equal(runIn(chains, 0, 1), "ran");
  chains.open(7, 1);
  assert.match(String(runIn(chains, 0, 2)), /not known here/);
  assert.equal(runIn(chains, 0, 1), "ran");
  assert.equal(runIn(chains, 7, 1), "ran");
  chains.closeAll(new Set([0]));
  assert.match(String(runIn(chains, 0, 1)), /not known here/);
  assert.equal(runIn(chains, 7, 1), "ran");
});

test("A context forgets the chains of a context that is gone", async () => {
  const note = (name: string): string => name;
  const { child, context } = fakeChild({ note });
  const chain = new CallChain(context);
  assert.equal(await chain.call(note, "a"), "a");
  child.delRoutes([0], "gone");
  await assert.rejects(chain.call(note, "b"), { message: /its chain is not known here/ });
});
