import assert from "node:assert/strict";
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import * as fs from "node:fs";
import { existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import type { Readable } from "node:stream";
import { after, before, describe, it } from "node:test";
import { Router } from "../../src/index.ts";
import * as remote from "../fixtures/remote/functions.ts";
import { repoRoot, skipReason } from "../support/lab.ts";
import { checkLeaks } from "../support/leak-check.ts";
import { NodelessMachine } from "../support/nodeless.ts";
import { failureOf, kept, machineRoom, nodelessSkip, pathWith, runtimes } from "../support/provisioning.ts";

checkLeaks({ ignoreCommand: /esbuild/ });

// SELinux and AppArmor are not in the kernels of all machines that run these tests, and fapolicyd would decide for the
// whole machine. Here too the kernel refuses: through the interface that fapolicyd uses (EPERM), through a security
// module that every process may ask for (EACCES), and through a setting of a namespace.

const skip = nodelessSkip() || skipReason();
const { parent } = machineRoom();
const PYTHON = "/usr/bin/python3";

describe("a daemon that refuses unknown executables, as fapolicyd does", { skip }, () => {
  const volume = join(parent, "volume");
  let daemon: ChildProcess;
  before(async () => {
    mkdirSync(volume);
    execFileSync("mount", ["-t", "tmpfs", "none", volume]);
    daemon = spawn(PYTHON, [join(repoRoot, "tests/support/fapolicy.py"), volume], {
      stdio: ["pipe", "pipe", "inherit"],
    });
    await once(daemon.stdout as Readable, "data");
  });
  after(async () => {
    daemon.stdin?.end();
    await once(daemon, "exit");
    execFileSync("umount", ["-l", volume]);
  });

  it("is named in the error, and leaves no copy", async () => {
    const box = new NodelessMachine(join(volume, "root"));
    await using router = new Router(undefined, { provision: "cache", runtimes });
    const hop = await router.local();
    for (const via of [undefined, hop]) {
      const error = await failureOf(router, { command: box.command(), via });
      assert.equal(error.code, "ERR_POLICY", error.message);
      assert.equal(error.details?.stage, "provision");
      assert.match(
        error.message,
        /node may not be run in \/root\/\.cache\/mitogen of the target: .*Operation not permitted.*fapolicyd/s,
      );
      assert.deepEqual(kept(join(box.root, "root/.cache/mitogen")), { copies: [], parts: [] });
    }
    assert.equal(await hop.call(remote.add, 1, 2), 3);
  });

  it("does not matter if it does not watch one of the folders", async () => {
    const box = new NodelessMachine(join(volume, "other root"));
    await using router = new Router(undefined, { provision: "cache", runtimes });
    const prepare = 'mkdir -p "$R/mnt/cache" && mount -t tmpfs none "$R/mnt/cache"';
    const command = box.command({ prepare, env: { XDG_CACHE_HOME: "/mnt/cache" } });
    const context = await router.exec({ command });
    assert.match(await context.call(fs.readlinkSync, "/proc/self/exe"), /^\/mnt\/cache\/mitogen\//);
  });
});

describe("a security module that lets programs be run only from the system's folders", { skip }, () => {
  const restricted = (path: string): string[] => {
    const system = ["/usr", "/bin", "/lib", "/lib64"].filter((folder) => existsSync(folder));
    const command = ["/usr/bin/env", "-i", `PATH=${path}`, "HOME=/root"];
    return [PYTHON, join(repoRoot, "tests/support/landlock.py"), ...system, "--", ...command];
  };

  it("is in the error with its refusal for each folder", async () => {
    await using router = new Router(undefined, { provision: "cache", runtimes });
    const path = pathWith(parent, "head", "gzip", "ls", "mkdir", "rm", "rmdir", "mv", "chmod", "tail", "df");
    const hop = await router.local();
    for (const via of [undefined, hop]) {
      const error = await failureOf(router, { command: restricted(path), via });
      assert.equal(error.code, "ERR_PROVISION", error.message);
      for (const folder of ["/root/.cache/mitogen", "/var/tmp/mitogen-0", "/tmp/mitogen-0"]) {
        const refusal = new RegExp(`${folder}: nothing may be run there: [^;]*Permission denied`);
        assert.match(error.message, refusal);
      }
      assert.match(error.message, /provision: "memory"/);
    }
  });

  it('lets a node run from memory with provision: "memory"', async () => {
    await using router = new Router(undefined, { provision: "memory", runtimes });
    const context = await router.exec({ command: restricted(pathWith(parent, "python3")) });
    assert.equal(await context.call(remote.add, 2, 3), 5);
  });
});

describe("a kernel that restricts programs in memory", {
  skip: skip || (!existsSync("/proc/sys/vm/memfd_noexec") && "needs Linux 6.3: vm.memfd_noexec"),
}, () => {
  const withSetting = (value: number, path: string): string[] => [
    ...["unshare", "-p", "-f", "-m", "--mount-proc", "--kill-child", "sh", "-c"],
    `echo ${value} >/proc/sys/vm/memfd_noexec && exec "$@"`,
    ...["sh", "/usr/bin/env", "-i", `PATH=${path}`],
  ];

  for (const names of [["python3"], ["perl", "gzip"]]) {
    it(`is in the error if it refuses them: ${names[0]}`, async () => {
      await using router = new Router(undefined, { provision: "memory", runtimes });
      const command = withSetting(2, pathWith(parent, ...names));
      const error = await failureOf(router, { command });
      assert.equal(error.code, "ERR_POLICY", error.message);
      assert.match(
        error.message,
        /may not be run in memory of the target: .*ermission denied.*memfd_noexec/s,
      );
    });

    it(`runs a node that asks for permission: ${names[0]}`, async () => {
      await using router = new Router(undefined, { provision: "memory", runtimes });
      const context = await router.exec({ command: withSetting(1, pathWith(parent, ...names)) });
      assert.equal(await context.call(remote.add, 2, 3), 5);
    });
  }
});
