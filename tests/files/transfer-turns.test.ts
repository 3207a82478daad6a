import assert from "node:assert/strict";
import { test } from "node:test";
import type { Message } from "../../src/core/message.ts";
import {
  MAX_TRANSFERS,
  MAX_TRANSFERS_PER_CONTEXT,
  noteTransfer,
  TransferTurns,
} from "../../src/files/transfer-turns.ts";
import { Deferred } from "../../src/waiting/deferred.ts";

const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** Fetches that end when the test says so. */
function fetches() {
  const turns = new TransferTurns();
  const begun: string[] = [];
  const ends: Record<string, Deferred<void>> = {};
  const fetch = (srcId: number, label: string, fails = false) => {
    const message = { srcId } as Message;
    const answer = turns.invoke({
      ...{ method: "fetch", args: {}, message },
      async run() {
        begun.push(label);
        if (fails) throw new Error("no such file");
        ends[label] = new Deferred();
        noteTransfer(message, (ends[label] as Deferred<void>).promise);
        return label;
      },
    });
    answer.catch(() => undefined);
    return answer;
  };
  return { turns, begun, ends, fetch };
}

test("TransferTurns begins eight transfers for one context, and the next when one ends", async () => {
  const { begun, ends, fetch } = fetches();
  const answers = [...Array(20).keys()].map((at) => fetch(5, `a${at}`));
  await settled();
  assert.equal(begun.length, MAX_TRANSFERS_PER_CONTEXT);
  // A fetch is answered while its file is still being sent.
  assert.equal(await answers[0], "a0");
  ends["a0"]?.resolve();
  await settled();
  assert.deepEqual(begun.slice(8), ["a8"]);
});

test("TransferTurns lets contexts take turns, however many files each asks for", async () => {
  const { begun, ends, fetch } = fetches();
  for (let id = 1; id <= MAX_TRANSFERS / MAX_TRANSFERS_PER_CONTEXT; id++) {
    for (let at = 0; at < 100; at++) void fetch(id, `${id}.${at}`);
  }
  await settled();
  assert.equal(begun.length, MAX_TRANSFERS);
  void fetch(500, "late");
  void fetch(500, "later");
  await settled();
  assert.equal(begun.length, MAX_TRANSFERS);
  // Context 1 is next, and has room since its own transfer ended. Then it is the turn of the late context.
  for (const label of begun.slice(0, 2)) {
    ends[label]?.resolve();
    await settled();
  }
  assert.deepEqual(begun.slice(MAX_TRANSFERS), ["1.8", "late"]);
});

test("TransferTurns gives the turn of a fetch that failed to the next one", async () => {
  const { begun, fetch } = fetches();
  const answers = [...Array(30).keys()].map((at) => fetch(5, `a${at}`, true));
  for (const answer of answers) await assert.rejects(answer, /no such file/);
  assert.equal(begun.length, 30);
});

test("TransferTurns lets other methods through", async () => {
  const { turns, fetch } = fetches();
  for (let at = 0; at < 20; at++) void fetch(5, `a${at}`);
  const message = { srcId: 5 } as Message;
  assert.equal(
    await turns.invoke({ method: "register", args: {}, message, run: async () => "done" }),
    "done",
  );
});
