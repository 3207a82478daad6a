import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import { Receiver } from "../../src/core/receiver.ts";
import { Sender } from "../../src/core/sender.ts";
import { NOTHING, type Sink } from "../../src/files/ends/sink.ts";
import { type Progress, receive } from "../../src/files/transfer.ts";
import { Deferred } from "../../src/waiting/deferred.ts";
import { masterAndChild } from "../support/fake-tree.ts";
import { failureOf, stateOf } from "../support/service-pair.ts";

/** A sink whose writes end when and how the test says. */
class HeldSink implements Sink {
  readonly path = "/held";
  readonly offer = NOTHING;
  readonly hash = createHash("sha256");
  readonly writes: { readonly chunk: Uint8Array; readonly written: Deferred<void> }[] = [];
  async begin(): Promise<void> {}
  write(chunk: Uint8Array): Promise<void> {
    const written = new Deferred<void>();
    this.writes.push({ chunk, written });
    return written.promise;
  }
  async commit(): Promise<void> {}
  async abandon(): Promise<void> {}
  interrupt(): void {}
}

/** A transfer to a HeldSink, and its far end. */
async function transferOf(size: number) {
  const { master, child } = masterAndChild();
  const sink = new HeldSink();
  const receiver = new Receiver<unknown>(master);
  const far = new Sender<unknown>(child, master.contextId, receiver.handle);
  const progress: Progress["bytes"][] = [];
  const transfer = receive(sink, receiver, ({ bytes }) => progress.push(bytes));
  await far.send({ at: 0, size, metadata: undefined });
  const writes = async (count: number): Promise<HeldSink["writes"]> => {
    while (sink.writes.length < count) await new Promise((resolve) => setImmediate(resolve));
    return sink.writes;
  };
  return { writes, far, progress, transfer };
}

test("receive writes one chunk while the next is on its way, and reports only written bytes as progress", async () => {
  const { writes, far, progress, transfer } = await transferOf(6);
  for (const text of ["ab", "cd", "ef"]) await far.send(Buffer.from(text));
  await far.send(createHash("sha256").update("abcdef").digest("hex"));
  for (const [index, text] of ["ab", "cd", "ef"].entries()) {
    const all = await writes(index + 1);
    assert.equal(Buffer.from(all[index]?.chunk as Uint8Array).toString(), text);
    assert.equal(await stateOf(transfer), "pending");
    assert.equal(all.length, index + 1);
    assert.equal(progress.at(-1), 2 * index, "bytes count only when they are written");
    all[index]?.written.resolve();
  }
  assert.equal((await transfer).bytes, 6);
  assert.deepEqual(progress, [0, 2, 4, 6]);
});

test("receive fails when a write fails, even if nothing more comes", async () => {
  const { writes, far, transfer } = await transferOf(6);
  await far.send(Buffer.from("ab"));
  const [first] = await writes(1);
  first?.written.reject(new Error("no space"));
  assert.equal((await failureOf(transfer)).message, "no space");
});

test("receive waits for the last write, and fails if that write fails", async () => {
  const { writes, far, transfer } = await transferOf(2);
  await far.send(Buffer.from("ab"));
  await far.send(createHash("sha256").update("ab").digest("hex"));
  const [first] = await writes(1);
  assert.equal(await stateOf(transfer), "pending");
  first?.written.reject(new Error("no space"));
  assert.equal((await failureOf(transfer)).message, "no space");
});

test("receive that fails waits for the write that it has begun, because the file is closed next", async () => {
  const { writes, far, transfer } = await transferOf(3);
  await far.send(Buffer.from("ab"));
  const [first] = await writes(1);
  await far.send(Buffer.from("too much"));
  assert.equal(await stateOf(transfer), "pending");
  first?.written.resolve();
  assert.match((await failureOf(transfer)).message, /more than the announced 3 bytes/);
});
