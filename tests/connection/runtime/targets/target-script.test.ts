import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { hostname } from "node:os";
import { describe, it } from "node:test";
import { memoryLookScript } from "../../../../src/connection/runtime/targets/target-script.ts";

describe("memoryLookScript", () => {
  it("identifies the host by its name and by a number that no other host has", {
    skip: process.platform !== "linux" && "the number is Linux's",
  }, () => {
    const { stdout } = spawnSync("sh", ["-c", `exec 4>&1;${memoryLookScript("0123456789abcdef")}`]);
    const host = /^0123456789abcdef:P h (.*)$/m.exec(stdout.toString())?.[1];
    const bootId = readFileSync("/proc/sys/kernel/random/boot_id", "latin1").trim();
    assert.equal(host, `${hostname()} ${bootId}`);
  });
});
