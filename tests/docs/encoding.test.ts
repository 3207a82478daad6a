import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { CallError } from "../../src/errors.ts";
import { decodeValue } from "../../src/wire/cbor/decoder.ts";
import { encodeValue } from "../../src/wire/cbor/encoder.ts";
import { DEFAULT_LIMITS } from "../../src/wire/cbor/limits.ts";
import { Tag } from "../../src/wire/cbor/tags.ts";
import { Blob } from "../../src/wire/values/blob.ts";
import { Secret } from "../../src/wire/values/secret.ts";
import { fakeReviver } from "../support/fake-reference.ts";

const page = readPage();
const scope = { Blob, Secret, CallError, error, context: fakeReviver.context, sender: fakeReviver.sender };

for (const [hex, expression] of examples()) {
  test(`docs/encoding.md is right that ${hex} is ${expression}`, () => {
    const bytes = Buffer.from(hex.replace(/ /g, ""), "hex");
    const evaluate = new Function(...Object.keys(scope), `return (${expression})`);
    const value = evaluate(...Object.values(scope));
    const decoded = decodeValue(bytes, { reviver: fakeReviver });
    // Node 20 calls invalid dates different.
    if (String(value) === "Invalid Date") assert.equal(String(decoded), "Invalid Date");
    else assert.deepEqual(decoded, value);
    // All URLs are equal to some Nodes.
    if (value instanceof URL) assert.equal(String(decoded), String(value));
    assert.equal(Buffer.concat(encodeValue(value)).toString("hex"), bytes.toString("hex"));
  });
}

test("docs/encoding.md has an example for every tag", () => {
  const seen = new Set(examples().map(([hex]) => Buffer.from(hex.replace(/ /g, ""), "hex").toString("hex")));
  for (const [name, tag] of Object.entries(Tag)) {
    const head = Buffer.concat(encodeValue(tag)).toString("hex");
    // A tag's head is an unsigned integer's with another major type.
    const prefix = (parseInt(head.slice(0, 2), 16) | 0xc0).toString(16) + head.slice(2);
    assert.ok(
      [...seen].some((hex) => hex.startsWith(prefix)),
      `no example of ${name}`,
    );
  }
});

test("docs/encoding.md states the limits of the code", () => {
  const mebi = 1024 * 1024;
  assert.match(page, new RegExp(`maxMessageBytes. \\| ${DEFAULT_LIMITS.maxMessageBytes / mebi} MiB`));
  assert.match(page, new RegExp(`maxDepth. \\| ${DEFAULT_LIMITS.maxDepth} `));
  assert.match(page, new RegExp(`maxItems. \\| ${DEFAULT_LIMITS.maxItems / mebi} Mi `));
});

test("docs/encoding.md examples are found", () => assert.ok(examples().length > 50));

function examples(): [hex: string, expression: string][] {
  return [...page.matchAll(/```hex\n([^`]+)```/g)].flatMap(([, block]) =>
    block!
      .trimEnd()
      .split("\n")
      .map((line) => line.split(" # ") as [string, string]),
  );
}

/** The page is at the root of the repository, this file somewhere in `tests/` or `build/tests/`. */
function readPage(): string {
  for (let url = new URL("../", import.meta.url); url.pathname !== "/"; url = new URL("../", url)) {
    const candidate = new URL("docs/encoding.md", url);
    if (existsSync(candidate)) return readFileSync(candidate, "utf8");
  }
  throw new Error("docs/encoding.md not found");
}

function error(
  type: new (message: string) => Error,
  message: string,
  stack: string,
  properties: object,
  ...causes: unknown[]
): Error {
  const value = Object.assign(new type(message), properties);
  Object.defineProperty(value, "stack", { value: stack, configurable: true, writable: true });
  for (const cause of causes)
    Object.defineProperty(value, "cause", { value: cause, configurable: true, writable: true });
  return value;
}
