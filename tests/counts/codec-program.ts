/**
 * node … codec-program.js [rounds]: encodes, decodes and routes, and prints what each operation allocates, by name. With `rounds` it does
 * each of them that often and prints nothing.
 */

import type { Link, LinkEvents } from "../../src/links/link.ts";
import { FrameRouter } from "../../src/routing/frame-router.ts";
import { decodeValue } from "../../src/wire/cbor/decoder.ts";
import { encodeValue } from "../../src/wire/cbor/encoder.ts";
import { Encoding, encodeFrame, type Frame } from "../../src/wire/frame.ts";
import { FrameDecoder } from "../../src/wire/frame-decoder.ts";
import { Handle } from "../../src/wire/handles.ts";
import { probe } from "./functions.ts";
import { OPERATIONS, perOperation, WINDOWS } from "./windows.ts";

const record = {
  id: 4711,
  name: "web1.example.com",
  isUp: true,
  load: [0.25, 0.5, 1.75],
  tags: ["web", "production"],
  disk: { path: "/var/lib", freeBytes: 123_456_789_012 },
  seen: new Date(1_700_000_000_000),
};
const values: Readonly<Record<string, unknown>> = {
  "a call": [null, "file:///srv/tasks/disk.js", ["freeBytes"], ["/var/lib", 2]],
  "a number": 42,
  "a record": record,
  "20 records": Array.from({ length: 20 }, (_, index) => ({ ...record, id: index })),
  "a map and a set": [new Map([["one", 1]]), new Set(["two", 3])],
  "an error": Object.assign(new RangeError("no space left"), {
    stack: "RangeError: no space left\n    at x",
    code: "ENOSPC",
  }),
  "1 KiB": Buffer.alloc(1024, 1),
};

const work: Readonly<Record<string, () => unknown>> = { ...ofValues(), ...ofFrames(), ...ofRoutes() };
const rounds = process.argv[2];
if (rounds !== undefined) for (const name in work) repeat(name, Number(rounds));
else console.log(JSON.stringify(count()));

function count(): Record<string, number> {
  const found: Record<string, number> = {};
  for (const name in work) {
    repeat(name, OPERATIONS);
    for (let window = 0; window < WINDOWS; window++) {
      probe().own({ start: "allocations" });
      repeat(name, OPERATIONS);
      for (const [kind, total] of Object.entries(probe().own("stop"))) {
        const each = perOperation(kind, total);
        found[`${name} / ${kind}`] = Math.min(found[`${name} / ${kind}`] ?? each, each);
      }
    }
  }
  return found;
}

function repeat(name: string, times: number): void {
  const once = work[name] as () => unknown;
  for (let round = 0; round < times; round++) once();
}

function ofValues(): Record<string, () => unknown> {
  return Object.fromEntries(
    Object.entries(values).flatMap(([name, value]) => {
      const bytes = Buffer.concat(encodeValue(value));
      return [
        [`encode ${name}`, () => encodeValue(value)],
        [`decode ${name}`, () => decodeValue(bytes)],
      ] as const;
    }),
  );
}

function ofFrames(): Record<string, () => unknown> {
  const frame = callFrame(7);
  const chunk = Buffer.concat(encodeFrame(frame));
  const decoder = new FrameDecoder(0xffffffff);
  const ignore = (): void => undefined;
  return {
    "encode a frame": () => encodeFrame(frame),
    "decode a frame": () => decoder.push(chunk, ignore),
  };
}

/** Operations of a context in the middle of a tree on a call that passes, and on its reply. */
function ofRoutes(): Record<string, () => unknown> {
  const router = new FrameRouter({ contextId: 5, parentIds: [2, 0] });
  const [parent, child] = [openEnd("parent"), openEnd("child")];
  router.attach(parent, 2, "parent");
  router.attach(child, 6, "child");
  const down = callFrame(6);
  const up = { ...down, srcId: 6, authId: 6, dstId: 0, handle: Handle.FIRST_REPLY, replyTo: 0 };
  return {
    "route a call": () => parent.events?.onFrame(down),
    "route a reply": () => child.events?.onFrame(up),
  };
}

function callFrame(dstId: number): Frame {
  const body = [Buffer.concat(encodeValue(values["a call"]))];
  const replyTo = Handle.FIRST_REPLY;
  return { encoding: Encoding.CBOR, dstId, srcId: 0, authId: 0, handle: Handle.CALL_FUNCTION, replyTo, body };
}

/** A link that drops the frames that it is sent. */
function openEnd(name: string): Link & { events?: LinkEvents } {
  return {
    name,
    open(events) {
      this.events = events;
    },
    send: () => true,
    close: () => undefined,
    abort: () => undefined,
  };
}
