// systemd-nspawn without systemd: a container known to nobody but its parent, entered by the pid of its first
// process.
import { join } from "node:path";
import { childrenOf, runningPid, startDaemon, stopDaemon } from "./daemon.mjs";
import { stateFolder } from "./places.mjs";
import { copyRootfs, IDLE, isStale, PATH } from "./rootfs.mjs";
import { run } from "./run.mjs";

const NAME = "mitogen-lab";

export async function bringUpNspawn({ stamp }) {
  const { leaderPid, isNew } = await startNspawn("nspawn", { machine: NAME, stamp });
  return { machine: NAME, leaderPid, note: `pid ${leaderPid}${isNew ? "" : ", already running"}` };
}

export async function tearDownNspawn() {
  return await stopDaemon("nspawn");
}

/** Starts a container on its own copy of the root file system. Returns the pid of its first process. */
export async function startNspawn(name, { machine, stamp }) {
  const folder = join(stateFolder, `${name}-rootfs`);
  if (!runningPid(name) || isStale(folder, stamp)) {
    await stopDaemon(name);
    await copyRootfs(folder, stamp);
  }
  const quiet = ["--quiet", "--register=no", "--keep-unit", "--link-journal=no", "--timezone=off"];
  const place = ["-D", folder, `--machine=${machine}`, "--private-network", "--resolv-conf=off"];
  const settings = [`--setenv=PATH=${PATH}`, "--console=pipe"];
  const argv = ["/usr/bin/systemd-nspawn", ...quiet, ...place, ...settings, ...IDLE];
  const isReady = (pid) => leaderOf(pid) !== undefined && canEnter(leaderOf(pid));
  const { pid, isNew } = await startDaemon(name, { argv, version: stamp, isReady });
  return { leaderPid: leaderOf(pid), isNew };
}

function leaderOf(pid) {
  return childrenOf(pid)[0];
}

async function canEnter(leader) {
  const words = ["-t", leader, "-a", "-r", "-w", "/bin/true"].map(String);
  return await run("nsenter", words).then(
    () => true,
    () => false,
  );
}
