// The test lab: real sshd, accounts with every common login shell, every supported Node, and what every
// connection method needs.
//   node scripts/lab.mjs [up [--peers] [--no-methods]]    as root on Debian; does only what is not done yet
//   node scripts/lab.mjs down      ends what it started; accounts, images and files stay
import { chmodSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { ACCOUNTS, createAccounts, passwordFile } from "./lab/accounts.mjs";
import { BECOME_ACCOUNTS } from "./lab/become.mjs";
import { identityFile, makeClientKeys, strangerFile, writeClientFiles } from "./lab/client.mjs";
import { bringUpMethods, tearDownMethods } from "./lab/methods.mjs";
import { installNodes, publish } from "./lab/nodes.mjs";
import { installPackages } from "./lab/packages.mjs";
import { makePlaces, runFolder } from "./lab/places.mjs";
import { HOST } from "./lab/ports.mjs";
import { labFolder, step, waitFor, writeIfChanged } from "./lab/run.mjs";
import { startSshd, stopSshd } from "./lab/sshd.mjs";

/**
 * Brings up the lab, or its missing parts, and returns what `.lab/lab.json` then holds.
 * `peers` adds what only the benchmarks compare against. Without `methods` there is ssh to loopback and
 * nothing else new.
 */
export async function labUp({ peers = process.env.MITOGEN_LAB_PEERS === "1", methods = true } = {}) {
  if (process.getuid?.() !== 0 || !existsSync("/usr/bin/apt-get")) {
    throw new Error("The lab needs root on Debian");
  }
  mkdirSync(labFolder, { recursive: true });
  makePlaces();
  return await exclusively(async () => {
    const { ssh: before, nodes: _nodes, node: _node, ...partsBefore } = remembered() ?? {};
    const packages = step("packages", () => installPackages({ peers, methods }));
    const [nodes] = await Promise.all([bringUpNodes(packages), packages]);
    const { users, becomeUsers } = await bringUpAccounts(nodes.node);
    const everyone = [...users, ...becomeUsers];
    const [ssh, parts] = await Promise.all([
      bringUpSsh(before, { users, everyone }),
      methods ? bringUpMethods({ ...nodes, users: everyone, identityFile }) : partsBefore,
    ]);
    const lab = { ssh, ...nodes, ...parts };
    if (parts.become) lab.become = { ...parts.become, users: becomeUsers };
    writeIfChanged(join(labFolder, "lab.json"), `${JSON.stringify(lab, null, 2)}\n`);
    return lab;
  });
}

export async function labDown() {
  makePlaces();
  await exclusively(async () => {
    await tearDownMethods();
    for (const name of ["main", "other"]) await step("sshd", () => stopSshd(name));
  });
}

async function bringUpNodes(libraries) {
  let found = {};
  await step("nodes", async () => {
    const { nodes, note } = await installNodes({ libraries });
    found = { nodes, node: publish(process.execPath, process.version) };
    return note;
  });
  return found;
}

async function bringUpAccounts(node) {
  const found = { users: [], becomeUsers: [] };
  await step("accounts", async () => {
    const options = { node, publicKey: await makeClientKeys() };
    found.users = await createAccounts(ACCOUNTS, options);
    found.becomeUsers = await createAccounts(BECOME_ACCOUNTS, options);
    return [...found.users, ...found.becomeUsers].map(({ name }) => name.replace("mitogen-", "")).join(" ");
  });
  return found;
}

async function bringUpSsh(before, { users, everyone }) {
  const ports = {};
  for (const [name, key] of Object.entries({ main: "port", other: "otherPort" })) {
    await step(`sshd ${name}`, async () => {
      const { port, note } = await startSshd(name, { remembered: before?.[key], users: everyone });
      ports[key] = port;
      return note;
    });
  }
  const client = writeClientFiles({ ...ports, users: everyone });
  chmodSync(join(labFolder, "ssh"), 0o700);
  return { host: HOST, ...ports, users, identityFile, strangerFile, passwordFile, ...client };
}

function remembered() {
  const file = join(labFolder, "lab.json");
  return existsSync(file) ? JSON.parse(readFileSync(file, "utf8")) : undefined;
}

/** Two runs at a time, even from two checkouts, would fight over ports, package locks and accounts. */
async function exclusively(work) {
  const lock = join(runFolder, "lock");
  const taken = await waitFor(() => takeLock(lock), 900_000);
  if (!taken) throw new Error(`Another process holds ${lock}`);
  try {
    return await work();
  } finally {
    rmSync(lock, { force: true });
  }
}

function takeLock(lock) {
  try {
    writeFileSync(lock, String(process.pid), { flag: "wx" });
    return true;
  } catch (error) {
    if (error.code !== "EEXIST") throw error;
    const owner = existsSync(lock) && readFileSync(lock, "utf8");
    if (owner && !existsSync(`/proc/${owner}`)) rmSync(lock, { force: true });
    return false;
  }
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) {
  const [command = "up"] = process.argv.slice(2).filter((word) => !word.startsWith("-"));
  const methods = !process.argv.includes("--no-methods");
  if (command === "up")
    await labUp(process.argv.includes("--peers") ? { peers: true, methods } : { methods });
  else if (command === "down") await labDown();
  else throw new Error(`Unknown command ${command}: want up or down`);
}
