import assert from "node:assert/strict";
import { test } from "node:test";
import { ProvisionFailure, type RuntimePlan } from "../../../../src/connection/runtime/plan.ts";
import {
  failureOf,
  noFolder,
  notTaken,
} from "../../../../src/connection/runtime/targets/provision-failures.ts";

const plan = { version: "v22.1.0", platform: "linux", arch: "x64" } as RuntimePlan;

test("notTaken knows from the words of the target's tools why the target did not take a runtime", () => {
  const cases: [said: string, code: string, message: RegExp][] = [
    [
      "e write gzip: stdout: No space left on device",
      "ERR_NO_SPACE",
      /no room for node in \/x of the target: gzip/,
    ],
    ["e sum tee: /x: Disk quota exceeded 0123 -", "ERR_NO_SPACE", /Disk quota exceeded/],
    ["e sum 0123abcd -", "ERR_PROVISION", /not what was sent/],
    ["e sum 91766784", "ERR_PROVISION", /not what was sent/],
    ["e sum", "ERR_PROVISION", /not what was sent/],
    [
      "e sum gzip: corrupted data 0123 -",
      "ERR_PROVISION",
      /could not store node in \/x: gzip: corrupted data/,
    ],
    // SELinux and noexec; fapolicyd.
    ["e run sh: /x/node: Permission denied", "ERR_POLICY", /may not be run in \/x/],
    ["e run sh: /x/node: Operation not permitted", "ERR_POLICY", /may not be run in \/x/],
    ["e memory [Errno 13] Permission denied: '/proc/7/fd/3'", "ERR_POLICY", /may not be run in \/x/],
    ["e run /x/node: error while loading shared libraries", "ERR_NO_RUNTIME", /v22\.1\.0 does not run/],
    ["e run", "ERR_NO_RUNTIME", /it printed nothing/],
    ["e move mv: cannot move: Read-only file system", "ERR_PROVISION", /Read-only file system/],
    ["nonsense", "ERR_PROVISION", /nonsense/],
  ];
  for (const [said, code, message] of cases) {
    const failure = notTaken(said, "/x", plan);
    assert.equal(failure.code, code, said);
    assert.match(failure.message, message);
    assert.notEqual(failure.hint, "");
  }
});

test("noFolder says what is wrong with each folder", () => {
  const folder = (path: string, why: string | undefined, freeKib?: number) => ({
    index: 1,
    path,
    why,
    freeKib,
  });
  const full = noFolder([folder("/a", "it is not yours alone"), folder("/b", undefined, 4096)], 130_000);
  assert.equal(full.code, "ERR_NO_SPACE");
  assert.match(full.message, /127 MiB.*\/a: it is not yours alone; \/b: only 4 MiB free/);
  assert.equal(noFolder([folder("/a", "mkdir: No space left on device")], 1).code, "ERR_NO_SPACE");
  assert.equal(noFolder([folder("/a", "there is no /")], 1).code, "ERR_PROVISION");
  assert.match(noFolder([], 1).message, /it named none/);
});

test("failureOf keeps a ProvisionFailure, and makes one of any other error", () => {
  const failure = new ProvisionFailure("ERR_NO_SPACE", "full", "");
  assert.equal(failureOf(failure), failure);
  const cause = new Error("EIO");
  assert.deepEqual(
    [failureOf(cause).code, failureOf(cause).message],
    ["ERR_PROVISION", "no node could be sent to the target: EIO"],
  );
  assert.equal(failureOf(cause).cause, cause);
});
