import assert from "node:assert/strict";
import { test } from "node:test";
import { decodeSshFrames, encodeSshFrame, SshFrame } from "../../src/fakessh/ssh-frames.ts";

async function decode(chunks: Iterable<Uint8Array>): Promise<[number, string][]> {
  const stream = (async function* () {
    yield* chunks;
  })();
  const found: [number, string][] = [];
  for await (const [type, body] of decodeSshFrames(stream)) found.push([type, body.toString("latin1")]);
  return found;
}

test("encodeSshFrame writes type, length and body", () => {
  assert.equal(encodeSshFrame(SshFrame.STDIN, "abc").toString("hex"), "0200000003616263");
  assert.equal(encodeSshFrame(SshFrame.EXIT, Buffer.of(255)).toString("hex"), "0600000001ff");
});

test("decodeSshFrames yields the same frames however the bytes are cut", async () => {
  const bytes = Buffer.concat([encodeSshFrame(2, "abc"), encodeSshFrame(3), encodeSshFrame(4, "defgh")]);
  const expected: [number, string][] = [
    [2, "abc"],
    [3, ""],
    [4, "defgh"],
  ];
  assert.deepEqual(await decode([bytes]), expected);
  assert.deepEqual(await decode([...bytes].map((byte) => Buffer.of(byte))), expected);
  for (let at = 0; at <= bytes.length; at++) {
    assert.deepEqual(await decode([bytes.subarray(0, at), bytes.subarray(at)]), expected, `cut at ${at}`);
  }
});

test("decodeSshFrames refuses a frame over the limit before its body is stored", async () => {
  await assert.rejects(decode([Buffer.from("0200500000", "hex")]), RangeError);
});
