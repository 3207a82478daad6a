import assert from "node:assert/strict";
import { test } from "node:test";
import { ChannelError } from "../../src/errors.ts";
import { PushFileService } from "../../src/files/push-file-service.ts";
import { Pool } from "../../src/service/pool.ts";
import { failureOf, servicePair, stateOf } from "../support/service-pair.ts";

function pushing() {
  const pair = servicePair();
  const [above, below] = [new PushFileService(pair.master), new PushFileService(pair.child)];
  return { ...pair, above, below };
}

test("PushFileService.get waits for the file, and hands out copies", async () => {
  const { child, context, above, below } = pushing();
  new Pool(child, [below]);
  const waits = [below.get("/f"), below.get("/f")];
  const other = below.get("/other");
  await above.propagateTo(context, "/f", "text");
  const [first, second] = await Promise.all(waits);
  first?.fill(0);
  assert.deepEqual([String(second), String(await below.get("/f"))], ["text", "text"]);
  assert.equal(await stateOf(other), "pending");
  await above.propagateTo(context, "/other", Buffer.of(1));
  assert.deepEqual([...(await other)], [1]);
  assert.equal(child.fakeBroker.holds, 0);
});

test("PushFileService.get that is aborted leaves other calls for the same file alone", async () => {
  const { child, context, above, below } = pushing();
  new Pool(child, [below]);
  const abort = new AbortController();
  const [late, patient] = [below.get("/f", { signal: abort.signal }), below.get("/f")];
  abort.abort(new RangeError("enough"));
  await assert.rejects(late, RangeError);
  await above.propagateTo(context, "/f", "text");
  assert.equal(String(await patient), "text");
});

test("PushFileService.get ends with its router", async () => {
  const { child, below } = pushing();
  const waiting = below.get("/f");
  await stateOf(waiting);
  child.endHandlers("The router was shut down");
  const message = "Cannot get the file /f, which has not been pushed: the router was shut down";
  await assert.rejects(waiting, { name: "ChannelError", message });
  await assert.rejects(below.get("/f"), { name: "ChannelError", message });
  assert.equal(child.fakeBroker.holds, 0);
});

test("PushFileService.propagateTo sends a file again only if it has not arrived", async () => {
  const { child, context, above, below, wire } = pushing();
  await assert.rejects(above.propagateTo(context, "/f", "text"), ChannelError);
  new Pool(child, [below]);
  await above.propagateTo(context, "/f");
  assert.equal(String(await below.get("/f")), "text");
  // A file that has arrived is not sent again.
  const before = wire.left.sent.length;
  await above.propagateTo(context, "/f", "text");
  const [again] = wire.left.sent.slice(before);
  assert.ok(again !== undefined && !Buffer.concat(again.body).includes("text"));
});

test("PushFileService.propagateTo rejects for a file that cannot be read", async () => {
  const { context, above } = pushing();
  await assert.rejects(above.propagateTo(context, "/nonexistent"), { code: "ENOENT" });
});

test("PushFileService takes files only from contexts above, and passes on only files that it has", async () => {
  const { master, child, context, above, below } = pushing();
  new Pool(master, [above]);
  new Pool(child, [below]);
  const request = { path: "/f", route: [0], data: Buffer.from("from below") };
  const refused = await failureOf(
    child.contextById(0).callService("mitogen.PushFileService", "push", request),
  );
  assert.equal(refused.code, "ERR_SERVICE_POLICY");
  const missing = await failureOf(
    context.callService("mitogen.PushFileService", "push", { path: "/f", route: [7] }),
  );
  assert.equal(missing.code, "ERR_FILE_REFUSED");
  assert.match(missing.message, /Cannot pass on \/f: it did not arrive here/);
});
