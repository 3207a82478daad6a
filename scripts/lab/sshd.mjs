// sshds of our own. On loopback: one as known_hosts expects it, one ("other") with another host key. More in
// bastion.mjs.
import { existsSync, mkdirSync, readFileSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { childrenOf } from "./daemon.mjs";
import { freePort, greets, HOST } from "./ports.mjs";
import { labFolder, run, waitFor, writeIfChanged } from "./run.mjs";

const FOLDER = join(labFolder, "ssh");
const SSHD = "/usr/sbin/sshd";
/**
 * `enter` is put before every command that must run on the host itself. A host with a fixed `port` is not
 * loopback.
 */
const LOOPBACK = { host: HOST, folder: FOLDER, enter: [] };

const LOGINS = {
  key: "",
  password: "  PasswordAuthentication yes\n  PubkeyAuthentication no\n",
  both: "  PasswordAuthentication yes\n",
};

/** Starts the daemon `name` unless it runs with this very configuration. Returns its port. */
export async function startSshd(name, { remembered, users, at = LOOPBACK }) {
  const { folder, host } = at;
  await makeKey(join(folder, `${name}_host_key`));
  mkdirSync("/run/sshd", { recursive: true, mode: 0o755 });
  const config = join(folder, `${name}_config`);
  const running = runningPid(name, folder);
  const before = at.port ?? remembered;
  if (running && before && !writeIfChanged(config, configuration(name, before, users, at))) {
    return { port: before, note: `pid ${running} on port ${before}, already running` };
  }
  if (running) await stopSshd(name, folder);
  const port = at.port ?? (await freePort(remembered ?? 0)) ?? (await freePort(0));
  writeIfChanged(config, configuration(name, port, users, at));
  await run(SSHD, ["-t", "-f", config]);
  const log = join(folder, `${name}.log`);
  const [command, ...words] = [...at.enter, SSHD, "-f", config, "-E", log];
  await run(command, words); // sshd detaches itself.
  if (!(await waitFor(() => answers(port, at), 10_000))) {
    throw new Error(`sshd does not answer at ${host}:${port}:\n${readFileSync(log, "utf8").slice(-2000)}`);
  }
  return { port, note: `pid ${runningPid(name, folder)} on port ${port}` };
}

/** Type and key of the daemon `name`, as known_hosts has them. */
export function hostKeyOf(name, folder = FOLDER) {
  const [type, key] = readFileSync(join(folder, `${name}_host_key.pub`), "utf8").split(" ");
  return `${type} ${key}`;
}

/** Ends the daemon and its sessions, and nothing else. */
export async function stopSshd(name, folder = FOLDER) {
  const pid = runningPid(name, folder);
  if (!pid) return `${name} not running`;
  const sessions = childrenOf(pid);
  for (const each of [pid, ...sessions]) process.kill(each, "SIGTERM");
  // A zombie's command line is empty, so this does not wait for a lazy init.
  if (!(await waitFor(() => !runningPid(name, folder), 5_000))) process.kill(pid, "SIGKILL");
  rmSync(pidFile(name, folder), { force: true });
  return `${name} stopped, pid ${pid}`;
}

export async function makeKey(path) {
  if (existsSync(path) && existsSync(`${path}.pub`)) return;
  rmSync(path, { force: true });
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  await run("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-C", "mitogen-lab", "-f", path]); // Mode 0600.
}

/** What the lab's daemons have in common: the lab's accounts log in with their keys. */
export const KEYS_ONLY = `AllowUsers mitogen-*
AuthorizedKeysFile .ssh/authorized_keys
PasswordAuthentication no
KbdInteractiveAuthentication no
UsePAM no
UseDNS no
PrintMotd no
PrintLastLog no
`;

function configuration(name, port, users, { host, folder }) {
  const own = users.map(
    (user) => `Match User ${user.name}\n  SetEnv PATH=${user.path}\n${LOGINS[user.login]}`,
  );
  return `ListenAddress ${host}:${port}
HostKey "${join(folder, `${name}_host_key`)}"
PidFile "${pidFile(name, folder)}"
${KEYS_ONLY}LogLevel VERBOSE
${own.join("")}`;
}

async function answers(port, { host, enter }) {
  if (enter.length === 0) return await greets(port, host);
  const [command, ...words] = [...enter, "ssh-keyscan", "-T", "2", "-t", "ed25519", "-p", String(port), host];
  return (await run(command, words).catch(() => "")).includes("ssh-ed25519");
}

function pidFile(name, folder) {
  return join(folder, `${name}.pid`);
}

/** The pid in the pid file, if that process still is the daemon of this lab. */
function runningPid(name, folder) {
  try {
    const pid = Number(readFileSync(pidFile(name, folder), "utf8"));
    const words = readFileSync(`/proc/${pid}/cmdline`, "utf8");
    return words.includes("sshd") && words.includes(join(folder, `${name}_config`)) ? pid : undefined;
  } catch {
    return undefined;
  }
}
