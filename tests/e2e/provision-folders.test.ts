import assert from "node:assert/strict";
import * as childProcess from "node:child_process";
import * as fs from "node:fs";
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  readdirSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { Router } from "../../src/index.ts";
import { checkLeaks } from "../support/leak-check.ts";
import { kept, machineRoom, nodelessSkip, runtimes } from "../support/provisioning.ts";

checkLeaks({ ignoreCommand: /esbuild/ });

const skip = nodelessSkip();
const { machine } = machineRoom();

describe("the folder for a node", { skip }, () => {
  it("is $XDG_CACHE_HOME/mitogen if that belongs to the user", async () => {
    const box = machine();
    mkdirSync(join(box.root, "mnt/cache"));
    await using router = new Router(undefined, { provision: "cache", runtimes });
    await router.exec({ command: box.command({ env: { XDG_CACHE_HOME: "/mnt/cache" } }) });
    assert.equal(kept(join(box.root, "mnt/cache/mitogen")).copies.length, 1);
    // No other folder was made.
    for (const each of ["root/.cache/mitogen", "var/tmp/mitogen-0", "tmp/mitogen-0"]) {
      assert.equal(existsSync(join(box.root, each)), false, each);
    }
  });

  it("is neither in a home of another user, nor one that others may write to", async () => {
    const box = machine();
    mkdirSync(join(box.root, "home/other"));
    chownSync(join(box.root, "home/other"), 1234, 1234);
    // As if somebody had made the folder before.
    mkdirSync(join(box.root, "var/tmp/mitogen-0"), { mode: 0o777 });
    chmodSync(join(box.root, "var/tmp/mitogen-0"), 0o777);
    await using router = new Router(undefined, { provision: "cache", runtimes });
    await router.exec({ command: box.command({ home: "/home/other" }) });
    assert.equal(existsSync(join(box.root, "home/other/.cache")), false);
    assert.deepEqual(readdirSync(join(box.root, "var/tmp/mitogen-0")), []);
    assert.equal(kept(join(box.root, "tmp/mitogen-0")).copies.length, 1);
  });

  it("is not a link, even to a folder of the user", async () => {
    const box = machine();
    mkdirSync(join(box.root, "root/elsewhere"));
    mkdirSync(join(box.root, "root/.cache"));
    symlinkSync("/root/elsewhere", join(box.root, "root/.cache/mitogen"));
    await using router = new Router(undefined, { provision: "cache", runtimes });
    await router.exec({ command: box.command() });
    assert.deepEqual(readdirSync(join(box.root, "root/elsewhere")), []);
    assert.equal(kept(join(box.root, "var/tmp/mitogen-0")).copies.length, 1);
  });

  it("is the user's own folder in /var/tmp if there is no home", async () => {
    const box = machine();
    await using router = new Router(undefined, { provision: "cache", runtimes });
    const context = await router.exec({ command: box.command({ uid: 1000, home: "/nonexistent" }) });
    assert.match(await context.call(fs.readlinkSync, "/proc/self/exe"), /^\/var\/tmp\/mitogen-1000\//);
  });

  it("is one that has room and lets programs be run", async () => {
    const box = machine();
    await using router = new Router(undefined, { provision: "cache", runtimes });
    const prepare =
      'mount -t tmpfs -o noexec none "$R/root" && mount -t tmpfs -o size=4m,mode=1777 none "$R/var/tmp"';
    const context = await router.exec({ command: box.command({ prepare }) });
    assert.match(await context.call(fs.readlinkSync, "/proc/self/exe"), /^\/tmp\/mitogen-0\//);
  });

  it("loses copies that were not used for a month, and partial ones whose process has ended", async () => {
    const box = machine();
    const folder = join(box.root, "root/.cache/mitogen");
    const old = join(folder, "a".repeat(64));
    const recent = join(folder, "b".repeat(64));
    for (const each of [old, recent]) {
      mkdirSync(each, { recursive: true, mode: 0o700 });
      writeFileSync(join(each, "node"), "");
    }
    chmodSync(folder, 0o700);
    const month = Date.now() / 1000 - 40 * 24 * 3600;
    utimesSync(join(old, "node"), month, month);
    const host = childProcess.execFileSync("uname", ["-n"], { encoding: "utf8" }).trim();
    writeFileSync(join(recent, `node.${host}.999999999.part`), "");
    writeFileSync(join(recent, `node.${host}.1.part`), "");
    await using router = new Router(undefined, { provision: "cache", runtimes });
    await router.exec({ command: box.command() });
    assert.deepEqual([existsSync(old), existsSync(recent)], [false, true]);
    // Process 1 still lives.
    assert.deepEqual(kept(folder).parts, [`${"b".repeat(64)}/node.${host}.1.part`]);
  });
});
