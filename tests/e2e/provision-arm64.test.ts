import assert from "node:assert/strict";
import * as childProcess from "node:child_process";
import * as fs from "node:fs";
import { copyFileSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { Router } from "../../src/index.ts";
import * as remote from "../fixtures/remote/functions.ts";
import { lab, nodes } from "../support/lab.ts";
import { checkLeaks } from "../support/leak-check.ts";
import { CHROOT, type NodelessMachine } from "../support/nodeless.ts";
import { failureOf, kept, machineRoom, nodelessSkip } from "../support/provisioning.ts";

checkLeaks({ ignoreCommand: /esbuild/ });

const arm64 = lab()?.arm64;
// Only newer kernels can register a binary format in one namespace. Not all machines of CI have one.
const skip =
  nodelessSkip() || (arm64?.available ? false : `needs arm64: ${arm64?.reason ?? "the lab has none"}`);
const { machine } = machineRoom();
/** Matches executables for arm64: ELF, 64 bits, little-endian, machine 183. */
const FORMAT = [
  ":mitogen-arm64:M:",
  "\\x7fELF\\x02\\x01\\x01\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x02\\x00\\xb7\\x00",
  "\\xff\\xff\\xff\\xff\\xff\\xff\\xff\\x00\\xff\\xff\\xff\\xff\\xff\\xff\\xff\\xff\\xfe\\xff\\xff\\xff",
].join(":");

/** A machine whose commands are this machine's busybox, but uname names arm64. A node for arm64 runs there. */
function armMachine({ hasLibraries }: { hasLibraries: boolean }): NodelessMachine {
  const box = machine({ scripts: { uname: "[ $1 = -n ] && echo arm || echo Linux aarch64" } });
  if (!hasLibraries || !arm64?.available) return box;
  mkdirSync(join(box.root, "lib"));
  for (const name of ["ld-linux-aarch64", "libc", "libm", "libdl", "libpthread", "libstdc++", "libgcc_s"]) {
    const found = fs.readdirSync(arm64.libraries).find((each) => each.startsWith(`${name}.so.`)) as string;
    copyFileSync(join(arm64.libraries, found), join(box.root, "lib", found));
  }
  return box;
}

/** Enters the machine in its own namespace, where the kernel runs arm64 executables with qemu. */
function command({ root }: NodelessMachine): string[] {
  const qemu = arm64?.available ? arm64.qemu : "";
  const enter = `mount -t binfmt_misc none /proc/sys/fs/binfmt_misc &&
printf %s '${FORMAT}:${qemu}:F' >/proc/sys/fs/binfmt_misc/register &&
mount --rbind /proc "$1/proc" && mount --rbind /dev "$1/dev" && shift && exec env -i "$@"`;
  return ["unshare", "-r", "-m", "sh", "-c", enter, "sh", root, "PATH=/bin", "HOME=/root", CHROOT, root];
}

const runtimes = arm64?.available ? { "linux-x64": nodes[12] as string, "linux-arm64": arm64.node } : {};

describe("a machine with arm64 processors", { skip }, () => {
  it("gets the node for arm64, and keeps it", async () => {
    const box = armMachine({ hasLibraries: true });
    await using router = new Router(undefined, { provision: "cache", runtimes });
    for (let i = 0; i < 2; i++) {
      const context = await router.exec({ command: command(box), timeoutMs: 300_000 });
      assert.equal(await context.call(remote.add, 2, 3), 5);
      const said = await context.call(childProcess.execFileSync, "/proc/self/exe", ["-p", "process.arch"]);
      assert.equal(String(said).trim(), "arm64");
    }
    const { copies, parts } = kept(join(box.root, "root/.cache/mitogen"));
    assert.deepEqual([copies.length, parts], [1, []]);
  });

  it("fails with the reason when libraries of the node are missing, and keeps nothing", async () => {
    const box = armMachine({ hasLibraries: false });
    await using router = new Router(undefined, { provision: "cache", runtimes });
    const error = await failureOf(router, { command: command(box), timeoutMs: 300_000 });
    assert.equal(error.code, "ERR_NO_RUNTIME", error.message);
    assert.match(error.message, /does not run on the target: .*ld-linux-aarch64/s);
    assert.deepEqual(kept(join(box.root, "root/.cache/mitogen")), { copies: [], parts: [] });
  });
});
