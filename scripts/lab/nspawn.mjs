// systemd-nspawn without systemd: a container known to nobody but its parent, entered by the pid of its first process.
import { join } from "node:path";
import { childrenOf, startDaemon, stopDaemon } from "./daemon.mjs";
import { stateFolder } from "./places.mjs";
import { copyRootfs, IDLE, PATH } from "./rootfs.mjs";
import { run } from "./run.mjs";

const NAME = "mitogen-lab";
const DAEMON = "nspawn";
const ROOTFS = join(stateFolder, "nspawn-rootfs");

export async function bringUpNspawn({ stamp }) {
  const isNew = await copyRootfs(ROOTFS, stamp);
  const quiet = ["--quiet", "--register=no", "--keep-unit", "--link-journal=no", "--timezone=off"];
  const container = ["-D", ROOTFS, `--machine=${NAME}`, "--private-network", `--setenv=PATH=${PATH}`];
  const argv = ["/usr/bin/systemd-nspawn", ...quiet, ...container, "--resolv-conf=off", "--console=pipe", ...IDLE];
  const isReady = (pid) => leaderOf(pid) !== undefined && enters(leaderOf(pid));
  const daemon = await startDaemon(DAEMON, { argv, version: stamp, isReady });
  const leaderPid = leaderOf(daemon.pid);
  const note = `pid ${leaderPid}${daemon.isNew || isNew ? "" : ", already running"}`;
  return { machine: NAME, leaderPid, note };
}

export async function tearDownNspawn() {
  return await stopDaemon(DAEMON);
}

function leaderOf(pid) {
  return childrenOf(pid)[0];
}

async function enters(leader) {
  const words = ["-t", leader, "-a", "-r", "-w", "/bin/true"].map(String);
  return await run("nsenter", words).then(
    () => true,
    () => false,
  );
}
