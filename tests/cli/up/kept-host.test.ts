import assert from "node:assert/strict";
import { test } from "node:test";
import { hostKey, keptHost } from "../../../src/cli/up/kept-host.ts";
import { Secret } from "../../../src/index.ts";

const ssh = { hostname: "web1", port: 2222 };
const key = (options: object): string => hostKey({ steps: [{ ssh: options }] } as never);

test("the key of a host has none of its passwords", () => {
  const plain = key(ssh);
  for (const password of ["knock", new Secret("knock"), () => "knock"]) {
    const withPassword = key({ ...ssh, password });
    assert.equal(withPassword, plain);
    assert.doesNotMatch(withPassword, /knock/);
  }
  assert.doesNotMatch(key({ ...ssh, anything: new Secret("knock") }), /knock/);
});

test("the key of a host is the same for options in another order, and differs for other options", () => {
  assert.equal(key({ port: 2222, hostname: "web1" }), key(ssh));
  assert.notEqual(key({ ...ssh, port: 22 }), key(ssh));
  assert.notEqual(hostKey({ steps: [{ ssh }, { sudo: {} }] } as never), key(ssh));
});

test("keptHost calls a function that gives a password once, and keeps the password", async () => {
  let calls = 0;
  const password = (): string => `knock${++calls}`;
  const host = { name: "web1", groups: ["web"], vars: { a: 1 }, steps: [{ ssh: { ...ssh, password } }] };
  const kept = await keptHost(host as never);
  await keptHost(host as never);
  assert.equal(calls, 1);
  assert.deepEqual(kept.steps, [{ ssh: { ...ssh, password: "knock1" } }]);
  assert.doesNotMatch(kept.key, /knock/);
});
