import assert from "node:assert/strict";
import { test } from "node:test";
import { Message } from "../../src/core/message.ts";
import {
  Admission,
  MAX_REQUEST_BYTES,
  MAX_REQUEST_BYTES_PER_CONTEXT,
  MAX_REQUESTS,
  MAX_REQUESTS_PER_CONTEXT,
} from "../../src/service/admission.ts";
import { Encoding } from "../../src/wire/frame.ts";
import { captureLogs, printed } from "../support/fake-log-sink.ts";
import { masterAndChild } from "../support/fake-tree.ts";

const MIB = 1024 * 1024;

/** Makes requests to the master, whose bodies share one memory. */
function requests() {
  const { master } = masterAndChild();
  const memory = Buffer.alloc(MAX_REQUEST_BYTES_PER_CONTEXT + MIB);
  return (srcId: number, bytes = 10, authId = srcId): Message =>
    new Message(master, {
      ...{ encoding: Encoding.CBOR, dstId: 0, srcId, authId, handle: 110, replyTo: 1000 },
      body: [memory.subarray(0, bytes)],
    });
}

test("Admission refuses one request too many from a context, says so once, and takes those of others", (t) => {
  const records = captureLogs(t, "warning");
  const admission = new Admission();
  const request = requests();
  const first = request(5);
  admission.enter(first);
  for (let count = 1; count < MAX_REQUESTS_PER_CONTEXT; count++) admission.enter(request(5));
  for (let more = 0; more < 3; more++) {
    assert.throws(() => admission.enter(request(5)), {
      name: "CallError",
      code: "ERR_SERVICE_BUSY",
      message:
        "Cannot call a service of context 0: 4096 requests wait for their answers, which is the maximum; send fewer at once",
    });
  }
  assert.equal(printed(records).length, 1);
  admission.enter(request(6));
  admission.leave(first);
  admission.enter(request(5));
  assert.throws(() => admission.enter(request(5)), { code: "ERR_SERVICE_BUSY" });
});

test("Admission refuses bodies that are too large together, but no single one", (t) => {
  captureLogs(t, "error");
  const admission = new Admission();
  const request = requests();
  const large = request(5, MAX_REQUEST_BYTES_PER_CONTEXT + 1);
  admission.enter(large);
  assert.throws(() => admission.enter(request(5)), { code: "ERR_SERVICE_BUSY", message: /bytes wait/ });
  admission.leave(large);
  for (let count = 0; count < 256; count++) admission.enter(request(5, MIB));
  assert.throws(() => admission.enter(request(5)), { code: "ERR_SERVICE_BUSY" });
});

test("Admission bounds all contexts together", (t) => {
  captureLogs(t, "error");
  const request = requests();
  const byCount = new Admission();
  for (let count = 0; count < MAX_REQUESTS; count++) byCount.enter(request(1 + (count % 1000)));
  assert.throws(() => byCount.enter(request(2000)), { code: "ERR_SERVICE_BUSY", message: /65536 requests/ });
  const byBytes = new Admission();
  const contexts = MAX_REQUEST_BYTES / MAX_REQUEST_BYTES_PER_CONTEXT;
  for (let id = 1; id <= contexts; id++) byBytes.enter(request(id, MAX_REQUEST_BYTES_PER_CONTEXT));
  assert.throws(() => byBytes.enter(request(2000)), { code: "ERR_SERVICE_BUSY" });
});

test("Admission does not count requests with authority here", () => {
  const admission = new Admission();
  const request = requests();
  for (let count = 0; count <= MAX_REQUESTS_PER_CONTEXT; count++) admission.enter(request(5, 10, 0));
  admission.leave(request(5, 10, 0));
});
