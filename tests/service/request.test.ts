import assert from "node:assert/strict";
import { test } from "node:test";
import { Message } from "../../src/core/message.ts";
import { CallError } from "../../src/errors.ts";
import { Pool } from "../../src/service/pool.ts";
import { encodeRequest, parseRequest } from "../../src/service/request.ts";
import { decodeValue } from "../../src/wire/cbor/decoder.ts";
import { Handle } from "../../src/wire/handles.ts";
import { captureLogs } from "../support/fake-log-sink.ts";
import { failureOf, servicePair } from "../support/service-pair.ts";

const IDENTITY = { name: "files", reference: { module: "file:///srv/files.ts", path: ["Files"] } };

test("encodeRequest and parseRequest are each other's inverse", () => {
  const { master } = servicePair();
  const body = encodeRequest(master, IDENTITY, "put", { name: "a" });
  const place = ["file:///srv/files.ts", ["Files"]];
  assert.deepEqual(decodeValue(Buffer.concat(body)), ["files", place, "put", { name: "a" }]);
  assert.deepEqual(parseRequest(new Message(master, master.frame(1, Handle.CALL_SERVICE, body, 7))), {
    service: "files",
    reference: IDENTITY.reference,
    method: "put",
    args: { name: "a" },
  });
});

test("encodeRequest refuses arguments without names, and names those that cannot travel", () => {
  const { master } = servicePair();
  const make = (args: unknown) => encodeRequest(master, IDENTITY, "put", args);
  for (const args of [["a"], "a", 1, null, new Date(), new Map()]) {
    assert.throws(
      () => make(args),
      /^TypeError: Cannot call put of service files: its arguments must be an object/,
    );
  }
  assert.throws(() => make({ files: [{ read: () => 1 }] }), /argument files\[0\]\.read: function/);
});

test("a malformed request gets a CallError, and a WARNING in the log", async (t) => {
  const { master, child } = servicePair();
  new Pool(master, []);
  const records = captureLogs(t, "warning");
  const bad: unknown[] = [
    undefined,
    "files",
    [],
    ["files", null, "put"],
    ["files", null, "put", []],
    ["files", null, "put", null],
    ["files", null, 5, {}],
    [5, null, "put", {}],
    ["", null, "put", {}],
    ["files", null, "a\nfake log line", {}],
    ["f".repeat(1001), null, "put", {}],
    ["files", "file:///srv/files.ts", "put", {}],
    ["files", ["file:///srv/files.ts"], "put", {}],
    ["files", [1, ["Files"]], "put", {}],
    ["files", ["file:///srv/files.ts", [1]], "put", {}],
    new CallError("not a request"),
  ];
  for (const value of bad) {
    const error = await failureOf(child.contextById(0).request(Handle.CALL_SERVICE, value));
    assert.ok(error instanceof CallError, String(value));
    assert.equal(error.code, "ERR_SERVICE_REQUEST");
    assert.match(error.message, /^Cannot read a service request: /);
  }
  assert.equal(records.filter(({ level }) => level === "warning").length, bad.length);
});

test("a malformed request that wants no reply is logged, too", (t) => {
  const { master, child } = servicePair();
  new Pool(master, []);
  const records = captureLogs(t, "warning");
  child.route(Message.to(child, { dstId: 0, handle: Handle.CALL_SERVICE }, { raw: Buffer.of(0xff) }));
  return new Promise<void>((resolve) => setImmediate(resolve)).then(() => assert.equal(records.length, 1));
});
