// Two sshd of our own on loopback: one as known_hosts expects it, one ("other") with another host key.
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { connect, createServer } from "node:net";
import { join } from "node:path";
import { labFolder, run, waitFor, writeIfChanged } from "./run.mjs";

export const HOST = "127.0.0.1";
const FOLDER = join(labFolder, "ssh");
const SSHD = "/usr/sbin/sshd";

/** Starts the daemon `name` unless it runs with this very configuration; answers its port. */
export async function startSshd(name, { remembered, users }) {
  await makeKey(join(FOLDER, `${name}_host_key`));
  mkdirSync("/run/sshd", { recursive: true, mode: 0o755 });
  const config = join(FOLDER, `${name}_config`);
  const running = runningPid(name);
  if (running && remembered && !writeIfChanged(config, configuration(name, remembered, users))) {
    return { port: remembered, note: `pid ${running} on port ${remembered}, already running` };
  }
  if (running) await stopSshd(name);
  const port = (await freePort(remembered ?? 0)) ?? (await freePort(0));
  writeIfChanged(config, configuration(name, port, users));
  await run(SSHD, ["-t", "-f", config]);
  const log = join(FOLDER, `${name}.log`);
  await run(SSHD, ["-f", config, "-E", log]); // It detaches itself.
  if (!(await waitFor(() => greets(port), 10_000))) {
    throw new Error(`sshd does not answer on port ${port}:\n${readFileSync(log, "utf8").slice(-2000)}`);
  }
  return { port, note: `pid ${runningPid(name)} on port ${port}` };
}

/** Ends the daemon and its sessions, and nothing else. */
export async function stopSshd(name) {
  const pid = runningPid(name);
  if (!pid) return `${name} not running`;
  const sessions = childrenOf(pid);
  for (const each of [pid, ...sessions]) process.kill(each, "SIGTERM");
  // A zombie's command line is empty, so this does not wait for a lazy init.
  if (!(await waitFor(() => !runningPid(name), 5_000))) process.kill(pid, "SIGKILL");
  rmSync(pidFile(name), { force: true });
  return `${name} stopped, pid ${pid}`;
}

export async function makeKey(path) {
  if (existsSync(path) && existsSync(`${path}.pub`)) return;
  rmSync(path, { force: true });
  mkdirSync(FOLDER, { recursive: true, mode: 0o700 });
  await run("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-C", "mitogen-lab", "-f", path]); // Mode 0600.
}

function configuration(name, port, users) {
  const own = users.map((user) => `Match User ${user.name}\n  SetEnv PATH=${user.path}\n`).join("");
  return `ListenAddress ${HOST}:${port}
HostKey "${join(FOLDER, `${name}_host_key`)}"
PidFile "${pidFile(name)}"
AllowUsers mitogen-*
AuthorizedKeysFile .ssh/authorized_keys
PasswordAuthentication no
KbdInteractiveAuthentication no
UsePAM no
UseDNS no
PrintMotd no
PrintLastLog no
LogLevel VERBOSE
${own}Match User mitogen-password
  PasswordAuthentication yes
  PubkeyAuthentication no
`;
}

function pidFile(name) {
  return join(FOLDER, `${name}.pid`);
}

/** The pid in the pid file, if that process still is the daemon of this lab. */
function runningPid(name) {
  try {
    const pid = Number(readFileSync(pidFile(name), "utf8"));
    const words = readFileSync(`/proc/${pid}/cmdline`, "utf8");
    return words.includes("sshd") && words.includes(join(FOLDER, `${name}_config`)) ? pid : undefined;
  } catch {
    return undefined;
  }
}

function childrenOf(pid) {
  const tasks = readdirSync(`/proc/${pid}/task`);
  const lists = tasks.map((task) => readFileSync(`/proc/${pid}/task/${task}/children`, "utf8"));
  return lists.join(" ").split(/\s+/).filter(Boolean).map(Number);
}

/** `port`, or any when it is 0, if nobody listens there. */
function freePort(port) {
  return new Promise((resolve) => {
    const probe = createServer();
    probe.once("error", () => resolve(undefined));
    probe.listen(port, HOST, () => {
      const found = probe.address().port;
      probe.close(() => resolve(found));
    });
  });
}

function greets(port) {
  return new Promise((resolve) => {
    const socket = connect(port, HOST);
    socket.once("error", () => resolve(false));
    socket.once("data", (banner) => resolve(banner.toString("latin1").startsWith("SSH-2.0")));
    socket.once("close", () => resolve(false));
    socket.once("data", () => socket.destroy());
  });
}
