// Dropbear on loopback, with a host key of its own: another SSH server than OpenSSH's.
import { existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { startDaemon, stopDaemon } from "./daemon.mjs";
import { stateFolder } from "./places.mjs";
import { greets, HOST, steadyPort } from "./ports.mjs";
import { labFolder, run, writeIfChanged } from "./run.mjs";

const NAME = "dropbear";
const FOLDER = join(stateFolder, NAME);
const HOST_KEY = join(FOLDER, "host_key");

/** Keys only, no root; any account of the machine whose authorized_keys has the lab's key may log in. */
export async function bringUpDropbear() {
  mkdirSync(FOLDER, { recursive: true });
  if (!existsSync(HOST_KEY)) await run("dropbearkey", ["-t", "ed25519", "-f", HOST_KEY]);
  const port = await steadyPort(NAME);
  const listen = ["-p", `${HOST}:${port}`, "-r", HOST_KEY, "-P", join(FOLDER, "pid")];
  const argv = ["/usr/sbin/dropbear", "-F", "-E", "-s", "-w", ...listen];
  const { pid, isNew } = await startDaemon(NAME, { argv, isReady: () => greets(port) });
  const [type, key] = /^ssh-ed25519 \S+/m
    .exec(await run("dropbearkey", ["-y", "-f", HOST_KEY]))[0]
    .split(" ");
  const knownHosts = join(labFolder, "ssh", "dropbear_known_hosts");
  writeIfChanged(knownHosts, `[${HOST}]:${port} ${type} ${key}\n`);
  const note = `pid ${pid} on port ${port}${isNew ? "" : ", already running"}`;
  return { host: HOST, port, knownHosts, note };
}

export async function tearDownDropbear() {
  return await stopDaemon(NAME);
}
