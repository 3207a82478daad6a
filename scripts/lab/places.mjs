// Folders that belong to the machine, not to a checkout: accounts, daemons and namespaces exist once.
import { chmodSync, existsSync, mkdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { writeIfChanged } from "./run.mjs";

/** What any account may read and execute. */
export const publicFolder = "/usr/local/lib/mitogen-lab";
/** Root file systems, images, configuration. Only root may enter. */
export const stateFolder = "/var/lib/mitogen-lab";
/** Sockets, pids and logs. Only root may enter. */
export const runFolder = "/run/mitogen-lab";

export function makePlaces() {
  mkdirSync(publicFolder, { recursive: true });
  // Pids and mounts of an earlier boot mean nothing, and not every /run forgets them.
  const bootFile = join(runFolder, "boot-id");
  const boot = readFileSync("/proc/sys/kernel/random/boot_id", "utf8");
  if (!existsSync(bootFile) || readFileSync(bootFile, "utf8") !== boot) {
    rmSync(runFolder, { recursive: true, force: true });
  }
  for (const folder of [stateFolder, runFolder]) {
    mkdirSync(folder, { recursive: true });
    chmodSync(folder, 0o700);
  }
  writeIfChanged(bootFile, boot);
}

/** Writes a program that runs a Debian tool with the lab's own daemons and storage. Returns its path. */
export function writeWrapper(name, { env = {}, argv }) {
  const path = join(publicFolder, "bin", name);
  const settings = Object.entries(env).map(([key, value]) => `export ${key}='${value}'\n`);
  const words = argv.map((word) => (/^[\w./:=-]+$/.test(word) ? word : `'${word}'`)).join(" ");
  writeIfChanged(path, `#!/bin/sh\n${settings.join("")}exec ${words} "$@"\n`, 0o755);
  return path;
}
