import assert from "node:assert/strict";
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { ProgramSupply } from "../../../../src/connection/runtime/packs/choose.ts";
import { RuntimeStore } from "../../../../src/connection/runtime/packs/store.ts";
import { ProvisionFailure } from "../../../../src/connection/runtime/plan.ts";

const E_MACHINE = 18;
const AARCH64 = 183;
const folder = mkdtempSync(join(tmpdir(), "mitogen-choose-test-"));
const earlier = process.env.XDG_CACHE_HOME;
/** An executable of this machine, which serves as well as a node here and is a thousandth of its size. */
const own = "/bin/sh";
/** A program for arm64, according to its header. */
const foreign = join(folder, "bin/node");

before(() => {
  process.env.XDG_CACHE_HOME = join(folder, "cache");
  mkdirSync(process.env.XDG_CACHE_HOME, { mode: 0o700 });
  mkdirSync(join(folder, "bin"));
  const bytes = readFileSync(own).subarray(0, 1 << 20);
  bytes.writeUInt16LE(AARCH64, E_MACHINE);
  writeFileSync(foreign, bytes);
  chmodSync(foreign, 0o755);
});
after(() => {
  if (earlier === undefined) delete process.env.XDG_CACHE_HOME;
  else process.env.XDG_CACHE_HOME = earlier;
  rmSync(folder, { recursive: true });
});

describe("ProgramSupply", {
  skip:
    (process.platform !== "linux" || process.arch !== "x64") &&
    "packs are of Linux, and one is this machine's",
}, () => {
  const store = new RuntimeStore();

  it("takes the runtime that is named for a target's system", async () => {
    // A folder of Node's distribution, or the executable itself.
    const supply = new ProgramSupply(store, { "linux-x64": own, "linux-arm64": folder });
    const [arm] = await supply.choose("Linux aarch64");
    const [intel] = await supply.choose("Linux x86_64");
    assert.deepEqual([arm?.arch, arm?.version, arm?.libraries.length], ["arm64", "", 0]);
    assert.deepEqual([intel?.arch, intel?.platform], ["x64", "linux"]);
    assert.notEqual(arm?.hash, intel?.hash);
  });

  it("takes a runtime that was added, and both runtimes that are named for a system, one of them for musl", async () => {
    await store.packed(foreign, true);
    const [arm] = await new ProgramSupply(store, {}).choose("Linux aarch64");
    assert.equal(arm?.arch, "arm64");
    const both = await new ProgramSupply(store, { "linux-x64": own, "linux-x64-musl": own }).choose(
      "Linux x86_64",
    );
    assert.deepEqual(
      both.map(({ libc }) => libc === "musl"),
      [false, true],
    );
  });

  it("refuses a system for which there is no runtime, and says what to write", async () => {
    for (const [system, name] of Object.entries({
      "Linux riscv64": "linux-riscv64",
      "FreeBSD amd64": "freebsd-x64",
    })) {
      await assert.rejects(
        new ProgramSupply(store, { "linux-x64": own }).choose(system),
        (error: unknown) => {
          assert.ok(error instanceof ProvisionFailure);
          assert.equal(error.code, "ERR_NO_RUNTIME");
          assert.ok(error.message.includes(`${name} (${system})`), error.message);
          assert.ok(error.hint.includes(`addRuntime("${name}@22")`), error.hint);
          return true;
        },
      );
    }
  });
});
