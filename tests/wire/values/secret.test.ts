import assert from "node:assert/strict";
import { test } from "node:test";
import { format, inspect } from "node:util";
import { encodeValue } from "../../../src/wire/cbor/encoder.ts";
import { Secret } from "../../../src/wire/values/secret.ts";

const TEXT = "hunter2";

test("Secret gives its text to reveal() and to nothing else", () => {
  const secret = new Secret(TEXT);
  assert.equal(secret.reveal(), TEXT);
  const error = new Error(`wrong password ${secret}`, { cause: { secret } });
  const printed = [
    inspect(secret, { showHidden: true, depth: 9, getters: true }),
    inspect({ a: [secret] }, { showHidden: true, showProxy: true }),
    format("%s %o %O %j %d", secret, secret, secret, secret, secret),
    `${secret}`,
    String(secret),
    "".concat(secret as unknown as string),
    `${secret.valueOf()}`,
    JSON.stringify({ secret, list: [secret] }),
    [secret].join(),
    inspect(error),
    String(error.stack),
    Object.keys(secret).join(),
    JSON.stringify(Object.getOwnPropertyDescriptors(secret)),
    JSON.stringify({ ...secret }),
    Buffer.from(secret as unknown as string).toString(),
    inspect(structuredClone(secret)),
  ].join("\n");
  assert.ok(!printed.includes(TEXT), printed);
  assert.equal(`${secret}`, "[secret]");
  assert.equal(inspect(secret), "[secret]");
  assert.equal(JSON.stringify(secret), '"[secret]"');
});

test("Secret does not show in the message of a refusal", () => {
  assert.throws(
    () => encodeValue({ password: new Secret(TEXT), bad: () => TEXT }),
    (error) => !inspect(error).includes(TEXT),
  );
});

test("Secret takes only text, even an empty one", () => {
  assert.equal(new Secret("").reveal(), "");
  assert.throws(
    () => new Secret(5 as unknown as string),
    /^TypeError: Cannot make a Secret: its text must be a string$/,
  );
});
