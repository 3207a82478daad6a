import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readdirSync } from "node:fs";
import { describe, it } from "node:test";
import { checkDescriptors, limitHint, nameLimit } from "../../src/process/system-limits.ts";

const failed = (code: string, message = code): Error => Object.assign(new Error(message), { code });
const isLinux = process.platform === "linux";

describe("limitHint", () => {
  const cases: [error: Error, hint: RegExp][] = [
    [failed("EMFILE"), /limit on descriptors: (\d+|unlimited|unknown) \(ulimit -n\); raise it/],
    [failed("ENFILE"), /open files \(sysctl fs\.file-max\)/],
    [failed("EAGAIN"), /processes and threads: (\d+|unlimited|unknown) \(ulimit -u\).*pids\.max/],
    [failed("ENOMEM"), /memory.*: (\d+|unlimited|unknown) \(ulimit -v\)/],
    [failed("ERR_WORKER_INIT_FAILED", "Worker initialization failure: EMFILE"), /descriptors.*ulimit -n/],
  ];
  for (const [error, hint] of cases) {
    it(`names the limit behind ${error.message}`, () => assert.match(limitHint(error), hint));
  }

  it("is empty for other errors", () => {
    for (const error of [
      failed("ENOENT"),
      failed("constructor"),
      new Error("x"),
      undefined,
      null,
      "EMFILE",
    ]) {
      assert.equal(limitHint(error), "");
    }
  });
});

describe("nameLimit", () => {
  it("adds the limit to a message, once", () => {
    const error = failed("EMFILE", "too many");
    const { message } = nameLimit(nameLimit(error));
    assert.equal(message, `too many; ${limitHint(error)}`);
    assert.equal(nameLimit(failed("ENOENT", "none")).message, "none");
  });
});

describe("checkDescriptors", { skip: !isLinux }, () => {
  it("keeps none of the descriptors that it opens", () => {
    const before = readdirSync("/proc/self/fd").length;
    checkDescriptors(20);
    assert.equal(readdirSync("/proc/self/fd").length, before);
  });

  it("throws the system's error with the limit if there are too few", () => {
    const module = new URL("../../src/process/system-limits.js", import.meta.url).href;
    const script = `import(${JSON.stringify(module)}).then((m) => { try { m.checkDescriptors(100) } catch (e) { console.log(e.code + " " + e.message) } })`;
    const { stdout } = spawnSync("sh", ["-c", 'ulimit -n 64; exec "$0" -e "$1"', process.execPath, script], {
      encoding: "utf8",
    });
    assert.match(stdout, /^EMFILE .*descriptors: 64 \(ulimit -n\)/);
  });
});
