// LXC: one container on a plain folder, its own path and no network.
import { mkdirSync, readFileSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { runFolder, stateFolder, writeWrapper } from "./places.mjs";
import { copyRootfs, IDLE, isStale, PATH } from "./rootfs.mjs";
import { run, waitFor, writeIfChanged } from "./run.mjs";

const NAME = "mitogen-lab";
const LXC_PATH = join(stateFolder, "lxc");
const CONFIG = join(LXC_PATH, NAME, "config");
const ROOTFS = join(stateFolder, "lxc-rootfs");
const TOOLS = ["lxc-attach", "lxc-info", "lxc-start", "lxc-stop"];

export async function bringUpLxc({ stamp }) {
  const [attach, info, start] = writeWrappers();
  const isChanged = writeIfChanged(CONFIG, configuration());
  const leader = await leaderOf(info);
  const isCurrent = leader && !isChanged && !isStale(ROOTFS, stamp);
  if (leader && !isCurrent) await tearDownLxc();
  await copyRootfs(ROOTFS, stamp);
  const log = join(runFolder, "lxc.log");
  if (!isCurrent) {
    rmSync(log, { force: true });
    await run(start, ["-n", NAME, "-d", "-l", "INFO", "-o", log]).catch((error) => {
      throw new Error(`${error.message}\n${readFileSync(log, "utf8").slice(-2000)}`);
    });
  }
  const leaderPid = isCurrent ? leader : await waitFor(() => leaderOf(info), 10_000);
  if (!leaderPid) throw new Error(`The container does not run:\n${readFileSync(log, "utf8").slice(-2000)}`);
  const note = `pid ${leaderPid}${isCurrent ? ", already running" : ""}`;
  return { path: attach, infoPath: info, container: NAME, leaderPid, note };
}

export async function tearDownLxc() {
  const [, info, , stop] = writeWrappers();
  if (!(await leaderOf(info))) return `${NAME} not running`;
  await run(stop, ["-n", NAME, "-t", "5"]);
  return `${NAME} stopped`;
}

function writeWrappers() {
  mkdirSync(dirname(CONFIG), { recursive: true });
  return TOOLS.map((tool) => writeWrapper(tool, { argv: [`/usr/bin/${tool}`, "-P", LXC_PATH] }));
}

function configuration() {
  return `lxc.uts.name = ${NAME}
lxc.rootfs.path = dir:${ROOTFS}
lxc.net.0.type = empty
lxc.apparmor.profile = unconfined
lxc.mount.auto = proc:mixed sys:ro
lxc.environment = PATH=${PATH}
lxc.signal.halt = SIGTERM
lxc.init.cmd = ${IDLE.join(" ")}
`;
}

async function leaderOf(info) {
  const answer = await run(info, ["-n", NAME, "-p", "-H"]).catch(() => "");
  return Number(answer.trim()) || undefined;
}
