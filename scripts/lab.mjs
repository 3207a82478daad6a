// The test lab: real sshd, accounts with every common login shell, every supported Node.
//   node scripts/lab.mjs [up [--peers]]    as root on Debian; does only what is not done yet
//   node scripts/lab.mjs down              ends the daemons it started; accounts and files stay
import { chmodSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { createAccounts, passwordFile } from "./lab/accounts.mjs";
import { identityFile, makeClientKeys, strangerFile, writeClientFiles } from "./lab/client.mjs";
import { installNodes, publish } from "./lab/nodes.mjs";
import { installPackages } from "./lab/packages.mjs";
import { labFolder, step, waitFor, writeIfChanged } from "./lab/run.mjs";
import { HOST, startSshd, stopSshd } from "./lab/sshd.mjs";

/**
 * Brings the lab up, or what of it is missing, and answers what `.lab/lab.json` then holds.
 * `peers` adds what only the benchmarks compare against.
 */
export async function labUp({ peers = process.env.MITOGEN_LAB_PEERS === "1" } = {}) {
  if (process.getuid?.() !== 0 || !existsSync("/usr/bin/apt-get")) {
    throw new Error("The lab needs root on Debian");
  }
  mkdirSync(labFolder, { recursive: true });
  return await exclusively(async () => {
    const before = remembered();
    const lab = { ssh: { host: HOST }, nodes: {}, node: "" };
    await step("packages", () => installPackages({ peers }));
    await step("nodes", async () => {
      const { nodes, note } = await installNodes();
      Object.assign(lab, { nodes, node: publish(process.execPath, process.version) });
      return note;
    });
    let users = [];
    await step("accounts", async () => {
      users = await createAccounts({ node: lab.node, publicKey: await makeClientKeys() });
      return users.map(({ name }) => name.replace("mitogen-", "")).join(" ");
    });
    const ports = {};
    for (const [name, key] of Object.entries({ main: "port", other: "otherPort" })) {
      await step(`sshd ${name}`, async () => {
        const { port, note } = await startSshd(name, { remembered: before?.ssh[key], users });
        ports[key] = port;
        return note;
      });
    }
    const client = writeClientFiles({ ...ports, users });
    Object.assign(lab.ssh, { ...ports, users, identityFile, strangerFile, passwordFile, ...client });
    writeIfChanged(join(labFolder, "lab.json"), `${JSON.stringify(lab, null, 2)}\n`);
    chmodSync(join(labFolder, "ssh"), 0o700);
    return lab;
  });
}

export async function labDown() {
  for (const name of ["main", "other"]) await step("sshd", () => stopSshd(name));
}

function remembered() {
  const file = join(labFolder, "lab.json");
  return existsSync(file) ? JSON.parse(readFileSync(file, "utf8")) : undefined;
}

/** Two at a time would fight over ports and package locks. */
async function exclusively(work) {
  const lock = join(labFolder, "lock");
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
  if (command === "up") await labUp(process.argv.includes("--peers") ? { peers: true } : {});
  else if (command === "down") await labDown();
  else throw new Error(`Unknown command ${command}: want up or down`);
}
