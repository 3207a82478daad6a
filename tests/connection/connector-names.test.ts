import assert from "node:assert/strict";
import { test } from "node:test";
import { nameBelow } from "../../src/connection/connector.ts";
import type { Context } from "../../src/core/context.ts";
import { ProtocolError } from "../../src/errors.ts";
import { decodeValue } from "../../src/wire/cbor/decoder.ts";

const FORGED = "web1\n19:11:32 E mitogen.ctx.db: disk full\x1b[2K\x9b2J\u202e";

test("nameBelow replaces characters of a name that would forge a log line or move a cursor", () => {
  const clean = "web1?19:11:32 E mitogen.ctx.db: disk full?[2K?2J?";
  assert.equal(nameBelow(undefined, FORGED), clean);
  assert.equal(nameBelow({ name: "hop" } as Context, FORGED), `hop.${clean}`);
});

test("decodeValue refuses contexts with such characters in their names", () => {
  const reviver = { context: (_: number, name: string) => name, sender: () => undefined };
  const message = (name: string): Buffer => {
    const text = Buffer.from(name);
    return Buffer.concat([Buffer.from("da4d495404820778", "hex"), Buffer.from([text.length]), text]);
  };
  assert.equal(decodeValue(message("web1 ünïcode"), { reviver }), "web1 ünïcode");
  for (const char of ["\n", "\x1b", "\x7f", "\x9b", "\u2028", "\u202e", "\u2066"]) {
    assert.throws(() => decodeValue(message(`web1${char}`), { reviver }), ProtocolError);
  }
});
