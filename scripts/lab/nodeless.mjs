// Hosts without a usable node, each at an address of its own on loopback, behind one sshd that shuts every login
// into the host's root file system.
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { startDaemon, stopDaemon } from "./daemon.mjs";
import {
  ACCOUNT,
  buildHosts,
  FOLDER,
  HOSTS,
  MANIFEST,
  mountCommands,
  OLD_NODE,
  rootOf,
  variablesOf,
} from "./nodeless-hosts.mjs";
import { publicFolder } from "./places.mjs";
import { greets, steadyPort } from "./ports.mjs";
import { labFolder, run, writeIfChanged } from "./run.mjs";
import { KEYS_ONLY, makeKey } from "./sshd.mjs";

const NAME = "nodeless";
const HOST_KEY = join(FOLDER, "host_key");
const CONFIG = join(FOLDER, "sshd_config");
const IMAGE = "mitogen-lab-busybox";

/** Brings up the hosts. Returns where they are, and the image of a container that has nothing but busybox. */
export async function bringUpNodeless({ users, identityFile }) {
  const stamp = stampOf(users);
  const marker = join(FOLDER, "stamp");
  if (!existsSync(marker) || readFileSync(marker, "utf8") !== stamp) {
    await stopDaemon(NAME, { signal: "SIGKILL" });
    rmSync(marker, { force: true });
    await buildHosts(users);
    writeFileSync(marker, stamp);
  }
  await makeKey(HOST_KEY);
  const port = await steadyPort(NAME);
  const hosts = Object.keys(HOSTS);
  writeIfChanged(CONFIG, configuration(port));
  const script = join(FOLDER, "enter.sh");
  const steps = ["#!/bin/sh -e", ...mountCommands(), `exec /usr/sbin/sshd -D -e -f '${CONFIG}'`];
  writeIfChanged(script, `${steps.join("\n")}\n`, 0o755);
  mkdirSync("/run/sshd", { recursive: true, mode: 0o755 });
  const { pid, isNew } = await startDaemon(NAME, {
    // The outer process keeps its command line, which sshd does not.
    argv: ["/usr/bin/unshare", "--mount", "--fork", "--kill-child", script],
    version: `${stamp} ${readFileSync(CONFIG, "utf8")} ${readFileSync(script, "utf8")}`,
    isReady: () => greets(port, addressOf(hosts.at(-1))),
  });
  const knownHosts = join(labFolder, "ssh", "nodeless_known_hosts");
  const [type, key] = readFileSync(`${HOST_KEY}.pub`, "utf8").split(" ");
  writeIfChanged(knownHosts, hosts.map((name) => `[${addressOf(name)}]:${port} ${type} ${key}\n`).join(""));
  await Promise.all(hosts.map((name) => logIn(name, { port, identityFile, knownHosts })));
  await importImage(`${IMAGE}:${stamp}`);
  return {
    port,
    knownHosts,
    account: ACCOUNT,
    image: IMAGE,
    hosts: Object.fromEntries(
      hosts.map((name) => [name, { host: addressOf(name), root: `/proc/${pid}/root${rootOf(name)}` }]),
    ),
    note: `pid ${pid} on port ${port}${isNew ? "" : ", already running"}, ${hosts.length} hosts`,
  };
}

export async function tearDownNodeless() {
  return await stopDaemon(NAME, { signal: "SIGKILL" });
}

function stampOf(users) {
  const source = fileURLToPath(new URL("nodeless-hosts.mjs", import.meta.url));
  const sources = [source, join(MANIFEST, "package-lock.json"), "/bin/busybox"];
  const hash = createHash("sha256").update(JSON.stringify(users.map(({ name, home }) => [name, home])));
  for (const path of sources) hash.update(readFileSync(path));
  return hash.digest("hex").slice(0, 12);
}

function addressOf(name) {
  return `127.13.77.${1 + Object.keys(HOSTS).indexOf(name)}`;
}

function configuration(port) {
  const hosts = Object.keys(HOSTS).map((name) => {
    const words = Object.entries(variablesOf(name)).map(([key, value]) => `${key}=${value}`);
    return `Match LocalAddress ${addressOf(name)}\n  ChrootDirectory ${rootOf(name)}\n  SetEnv ${words.join(" ")}\n`;
  });
  const listen = Object.keys(HOSTS).map((name) => `ListenAddress ${addressOf(name)}:${port}\n`);
  return `${listen.join("")}HostKey ${HOST_KEY}
PidFile none
${KEYS_ONLY}MaxStartups 100
${hosts.join("")}`;
}

/** Fails unless a login gets in, and finds no node, or the old one where it should. */
async function logIn(name, { port, identityFile, knownHosts }) {
  const options = ["-F", "/dev/null", "-o", `UserKnownHostsFile=${knownHosts}`, "-o", "BatchMode=yes"];
  const words = [...options, "-i", identityFile, "-p", String(port), "-l", ACCOUNT, addressOf(name)];
  const script = "command -v node nodejs /usr/local/bin/node; id -un";
  const said = (await run("ssh", [...words, script])).trim().split("\n");
  const expected = [...(name === "old node" ? [`${OLD_NODE}/node`] : []), ACCOUNT];
  if (said.join() !== expected.join()) throw new Error(`The host "${name}" said ${JSON.stringify(said)}`);
}

async function importImage(tag) {
  const docker = join(publicFolder, "bin/docker");
  const exists = await run(docker, ["image", "inspect", tag]).catch(() => undefined);
  if (exists !== undefined) return;
  const script = `tar -C "$1" -c . | "$2" import -c 'ENV PATH=/bin' - "$3"`;
  await run("sh", ["-ec", script, "sh", rootOf("busybox"), docker, tag]);
  await run(docker, ["tag", tag, `${IMAGE}:latest`]);
}
