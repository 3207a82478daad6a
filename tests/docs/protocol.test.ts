import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { inflateRawSync } from "node:zlib";
import { PROTOCOL_VERSION } from "../../src/bootstrap/ready.ts";
import { GET_RUNTIME } from "../../src/connection/runtime/plan.ts";
import { CallError } from "../../src/errors.ts";
import { DEFAULT_MAX_MESSAGE_BYTES } from "../../src/routing/frame-router.ts";
import { decodeValue } from "../../src/wire/cbor/decoder.ts";
import { encodeValue } from "../../src/wire/cbor/encoder.ts";
import {
  bodyLength,
  Encoding,
  encodeFrame,
  type Frame,
  HEADER_BYTES,
  joinBody,
} from "../../src/wire/frame.ts";
import { FrameDecoder } from "../../src/wire/frame-decoder.ts";
import { Handle } from "../../src/wire/handles.ts";
import { repoRoot } from "../support/lab.ts";

const page = readFileSync(join(repoRoot, "docs/protocol.md"), "utf8");

/** The functions that the expectations beside the examples may use. */
const scope = { error, callError, packed, bytes: Buffer.from };

describe("docs/protocol.md", () => {
  for (const { line, bytes } of examples()) {
    it(`is right that its bytes are ${line}`, () => {
      const frames: Frame[] = [];
      const decoder = new FrameDecoder(DEFAULT_MAX_MESSAGE_BYTES);
      decoder.push(bytes, (frame) => frames.push(frame));
      assert.equal(decoder.pendingBytes, 0);
      assert.equal(frames.length, 1);
      const frame = frames[0] as Frame;
      const { header, kind, content } = parseExpectation(line);
      const { dstId: dst, srcId: src, authId: auth, handle, replyTo } = frame;
      assert.deepEqual({ dst, src, auth, handle, replyTo }, header);
      const encodings: Record<string, number> = { raw: Encoding.RAW, part: Encoding.PART };
      assert.equal(frame.encoding, encodings[kind] ?? Encoding.CBOR);
      assert.equal(Buffer.concat(encodeFrame(frame)).toString("hex"), bytes.toString("hex"));
      const body = joinBody(frame);
      if (kind !== "value") {
        assert.deepEqual(Buffer.from(body), Buffer.from(evaluate(content) as string, "hex"));
        return;
      }
      const expected = evaluate(content);
      if (handle === Handle.LOAD_MODULE) {
        // Compressed bytes differ between versions of zlib, but not their contents.
        const [target, modules] = decodeValue(body) as [number, [string, string, Buffer | null][]];
        assert.deepEqual([target, modules.map(unpack)], expected);
        return;
      }
      assert.deepEqual(decodeValue(body), expected);
      assert.equal(Buffer.concat(encodeValue(expected)).toString("hex"), Buffer.from(body).toString("hex"));
    });
  }

  it("has an example for every handle in use", () => {
    const seen = new Set(examples().map(({ line }) => parseExpectation(line).header.handle));
    for (const { name, number, isReserved } of handleRows()) {
      if (!isReserved && number < Handle.LAST_RESERVED) assert.ok(seen.has(number), name);
    }
    assert.ok(examples().some(({ line }) => line.includes(`replyTo=${Handle.IS_DEAD}`)));
  });

  it("lists the handles of the code", () => {
    assert.deepEqual(Object.fromEntries(handleRows().map(({ name, number }) => [name, number])), {
      ...Handle,
      GET_RUNTIME,
    });
  });

  it("states the layout of the header", () => {
    const rows = [...page.matchAll(/^\| (\d+) \| (\d) \| (\w+) \|/gm)].filter(([, , , name]) =>
      /^(encoding|length|replyTo|handle|\w+Id)$/.test(name as string),
    );
    const frame: Frame = {
      encoding: Encoding.CBOR,
      dstId: 0x01020304,
      srcId: 0x05060708,
      authId: 0x090a0b0c,
      handle: 0x0d0e0f10,
      replyTo: 0x11121314,
      body: [Buffer.from([0xf6])],
    };
    const bytes = Buffer.concat(encodeFrame(frame));
    const fields = { ...frame, length: bodyLength(frame) } as unknown as Record<string, number>;
    let end = 0;
    for (const [, offset, length, name] of rows) {
      assert.equal(Number(offset), end, name);
      assert.equal(bytes.readUIntBE(end, Number(length)), fields[name as string], name);
      end += Number(length);
    }
    assert.equal(rows.length, 7);
    assert.equal(end, HEADER_BYTES);
    assert.ok(page.includes(`\n${HEADER_BYTES} bytes of header`));
  });

  it("states the limit and the protocol version of the code", () => {
    const mebi = 1024 * 1024;
    assert.ok(page.includes(`\`maxMessageBytes\`, ${DEFAULT_MAX_MESSAGE_BYTES / mebi} MiB`));
    assert.ok(page.includes(`<nonce>:ready ${PROTOCOL_VERSION} `));
  });
});

/**
 * ```hex blocks: a line `# dst=… src=… auth=… handle=… replyTo=… value=…` (or `raw="hex"`, `part="hex"`),
 * then one frame in hex.
 */
function examples(): { line: string; bytes: Buffer }[] {
  return [...page.matchAll(/```hex\n# (.+)\n([\da-f\s]+)```/g)].map(([, line = "", hex = ""]) => ({
    line,
    bytes: Buffer.from(hex.replace(/\s/g, ""), "hex"),
  }));
}

function parseExpectation(line: string): { header: Record<string, number>; kind: string; content: string } {
  const match = /^((?:\w+=\d+ )+)(value|raw|part)=(.+)$/.exec(line);
  assert.ok(match, `no expectation: ${line}`);
  const [, numbers = "", kind = "", content = ""] = match;
  const pairs = numbers.trim().split(" ");
  const header = Object.fromEntries(
    pairs.map((pair) => [pair.split("=")[0] as string, Number(pair.split("=")[1])]),
  );
  return { header, kind, content };
}

function evaluate(expression: string): unknown {
  return new Function(...Object.keys(scope), `return (${expression})`)(...Object.values(scope));
}

function handleRows(): { number: number; name: string; isReserved: boolean }[] {
  return [...page.matchAll(/^\| (\d+) \| ([A-Z_]+) \|([^|]*)\|/gm)].map(
    ([, number, name = "", sender = ""]) => ({
      number: Number(number),
      name,
      isReserved: sender.trim() === "reserved",
    }),
  );
}

function packed(record: unknown[]): unknown {
  return { packed: record };
}

function unpack([id, hash, bytes]: [string, string, Buffer | null]): unknown[] {
  if (bytes === null) return [id, hash, null];
  assert.equal(createHash("sha256").update(bytes).digest("base64url").slice(0, hash.length), hash);
  return [id, hash, packed(decodeValue(inflateRawSync(bytes)) as unknown[])];
}

function error(message: string): Error {
  return withStack(new Error(message), `Error: ${message}`);
}

function callError(message: string, cause: Error): CallError {
  return withStack(new CallError(message, { cause }), `CallError: ${message}`);
}

function withStack<T extends Error>(value: T, stack: string): T {
  Object.defineProperty(value, "stack", { value: stack, configurable: true, writable: true });
  return value;
}
