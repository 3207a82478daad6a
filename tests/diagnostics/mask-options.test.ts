import assert from "node:assert/strict";
import { test } from "node:test";
import { maskOptions } from "../../src/diagnostics/mask-options.ts";
import { Secret } from "../../src/index.ts";

test("maskOptions shows options without secrets, and without via", () => {
  const shown = maskOptions({
    hostname: "web1",
    password: "hunter2",
    passphrase: () => "hunter2",
    apiToken: "hunter2",
    sshArgs: ["-v", new Secret("hunter2")],
    extra: { secretKey: "hunter2", port: 22 },
    accept: () => true,
    via: { name: "bastion" },
    timeoutMs: undefined,
  });
  assert.deepEqual(shown, {
    hostname: "web1",
    password: "[secret]",
    passphrase: "[secret]",
    apiToken: "[secret]",
    sshArgs: ["-v", "[secret]"],
    extra: { secretKey: "[secret]", port: 22 },
    accept: "[function]",
  });
});
