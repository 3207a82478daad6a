import assert from "node:assert/strict";
import * as fs from "node:fs";
import { describe, it } from "node:test";
import { Router } from "../../src/index.ts";
import * as remote from "../fixtures/remote/functions.ts";
import { skipReason } from "../support/lab.ts";
import { checkLeaks } from "../support/leak-check.ts";
import { failureOf, machineRoom, nodelessSkip, pathWith, runtimes } from "../support/provisioning.ts";

checkLeaks({ ignoreCommand: /esbuild/ });

const skip = nodelessSkip() || skipReason();
const { parent } = machineRoom();

describe('provision: "memory"', { skip }, () => {
  /** Runs on this machine with all file systems read-only. */
  const readOnly = (path: string): string[] => [
    ...["unshare", "-m", "sh", "-c"],
    'mount -o bind / /mnt && mount -o remount,bind,ro /mnt && mount -t proc proc /mnt/proc && mount --rbind /dev /mnt/dev && mount -t tmpfs -o ro none /mnt/dev/shm && exec chroot /mnt "$@"',
    ...["sh", "/usr/bin/env", "-i", `PATH=${path}`],
  ];
  for (const names of [["perl", "gzip"], ["python3"]]) {
    it(`makes no file with ${names.join(" and ")}`, async () => {
      await using router = new Router(undefined, { provision: "memory", runtimes });
      const context = await router.exec({ command: readOnly(pathWith(parent, ...names)) });
      assert.equal(await context.call(remote.add, 2, 3), 5);
      await assert.rejects(context.call(fs.writeFileSync, "/tmp/x", ""), { code: "EROFS" });
      assert.match(await context.call(fs.readlinkSync, "/proc/self/exe"), /^\/memfd:/);
      const below = await router.local({ via: context });
      assert.equal(await below.call(remote.add, 4, 5), 9);
    });
  }

  it("names the programs it needs when they are missing", async () => {
    await using router = new Router(undefined, { provision: "memory", runtimes });
    const hop = await router.local();
    for (const names of [[], ["perl"], ["gzip", "head"]]) {
      for (const via of [undefined, hop]) {
        const error = await failureOf(router, { command: readOnly(pathWith(parent, ...names)), via });
        assert.equal(error.code, "ERR_PROVISION");
        assert.match(error.message, /neither python3, nor perl and gzip.*provision: "cache"/s);
      }
    }
  });
});
