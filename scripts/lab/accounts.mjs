// One account per login shell, each with its own oddity; see ACCOUNTS.
import { randomBytes } from "node:crypto";
import {
  appendFileSync,
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { publicFolder } from "./places.mjs";
import { run, writeIfChanged } from "./run.mjs";

/** The password of `mitogen-password`: random, one per machine, readable by root only. */
export const passwordFile = join(publicFolder, "password");

/** Where a Node may be found by absolute path although PATH holds none. */
const FALLBACKS = ["/usr/local/bin/node", "/usr/bin/node", "/usr/bin/nodejs", "/opt/bin/node", "/bin/node"];

const NOISE = String.raw`# Written by the mitogen test lab.
printf 'Welcome to Debian GNU/Linux 12\n\nLast login: Thu Jan  1 00:00:00 1970 from 192.0.2.1\n'
printf 'You have new mail.\r\nProgress: 10%%\rProgress: 100%%\r\n'
printf '\033[1;31mWARNING\033[0m: authorised use only\n'
printf 'Password: x\n'
printf 'maintenance tonight\n' >&2
printf 'disk usage of / is '
`;

/** `password.login` says whether sshd takes it too; else the account logs in by key. */
export const ACCOUNTS = [
  { name: "mitogen-dash", shell: "/bin/dash" },
  { name: "mitogen-bash", shell: "/bin/bash" },
  { name: "mitogen-zsh", shell: "/usr/bin/zsh" },
  { name: "mitogen-fish", shell: "/usr/bin/fish" },
  { name: "mitogen-tcsh", shell: "/usr/bin/tcsh" },
  {
    name: "mitogen-rbash",
    shell: "/bin/rbash",
    tools: ["sh", "node", "uname", "env", "id", "cat", "head", "tr", "sleep", "readlink", "true"],
  },
  { name: "mitogen-nologin", shell: "/usr/sbin/nologin" },
  { name: "mitogen-noisy", shell: "/bin/bash", rc: NOISE },
  { name: "mitogen-password", shell: "/bin/bash", password: { file: passwordFile, login: "password" } },
  { name: "mitogen-nonode", shell: "/bin/sh", tools: ["sh", "uname"] },
];

/** Creates or repairs `accounts`. Returns what lab.json says about them. */
export async function createAccounts(accounts, { node, publicKey }) {
  const users = [];
  for (const { name, shell, tools, rc, password } of accounts) {
    const account = await createAccount(name, shell);
    if (!password) await forbidPassword(name);
    for (const file of rc ? [".bashrc", ".profile"] : []) writeIfChanged(join(account.home, file), rc);
    const path = tools ? toolFolder(account, tools, node) : `${dirname(node)}:/usr/local/bin:/usr/bin:/bin`;
    authorise(account, publicKey);
    const hasNode = !tools || tools.includes("node");
    const login = password?.login ?? "key";
    const about = { name, shell, home: account.home, path, login };
    users.push({ ...about, node: hasNode ? node : null, ...describe(hasNode) });
  }
  for (const file of new Set(accounts.map(({ password }) => password?.file).filter(Boolean))) {
    await setPasswords(
      accounts.filter(({ password }) => password?.file === file),
      file,
    );
  }
  return users;
}

function describe(hasNode) {
  if (hasNode) return {};
  const elsewhere = FALLBACKS.filter((path) => existsSync(path));
  const note =
    "No node on PATH; the machine itself may still have one at the absolute paths in nodesElsewhere";
  return { nodesElsewhere: elsewhere, note };
}

async function createAccount(name, shell) {
  const home = join("/home", name);
  const current = await entry("passwd", name);
  if (!current) await run("useradd", ["-m", "-U", "-d", home, "-s", shell, name]);
  else if (current[5] !== home || current[6] !== shell) await run("usermod", ["-s", shell, "-d", home, name]);
  mkdirSync(home, { recursive: true });
  const [uid, gid] = (await entry("passwd", name)).slice(2, 4).map(Number);
  chownSync(home, uid, gid);
  chmodSync(home, 0o755);
  return { home, uid, gid };
}

/** An unusable password, yet not a locked account: sshd without PAM refuses "!". */
async function forbidPassword(name) {
  if ((await entry("shadow", name))[1] !== "*") await run("usermod", ["-p", "*", name]);
}

/** One password, kept in `file`, for all of `accounts`. */
async function setPasswords(accounts, file) {
  const names = accounts.map(({ name }) => name);
  const hashes = await Promise.all(names.map(async (name) => (await entry("shadow", name))[1]));
  if (existsSync(file) && hashes.every((hash) => hash.startsWith("$"))) return;
  const password = existsSync(file) ? readFileSync(file, "utf8") : randomBytes(12).toString("hex");
  writeIfChanged(file, password, 0o600);
  await run("chpasswd", ["-c", "SHA512"], { input: names.map((name) => `${name}:${password}\n`).join("") });
}

/** The fields of an account's line in one of the system's databases. */
async function entry(database, name) {
  const line = await run("getent", [database, name]).catch(() => "");
  return line ? line.trimEnd().split(":") : undefined;
}

/** A folder with nothing but links to `tools`, owned by root: the account's whole PATH. */
function toolFolder({ home }, tools, node) {
  const folder = join(home, "bin");
  mkdirSync(folder, { recursive: true });
  for (const tool of tools) {
    const target = tool === "node" ? node : ["/bin", "/usr/bin"].map((at) => join(at, tool)).find(existsSync);
    const link = join(folder, tool);
    if (existsSync(link) && readlinkSync(link) === target) continue;
    rmSync(link, { force: true });
    symlinkSync(target, link);
  }
  return folder;
}

/** Adds the key and keeps others: several checkouts may share the accounts of one machine. */
function authorise({ home, uid, gid }, publicKey) {
  const folder = join(home, ".ssh");
  const file = join(folder, "authorized_keys");
  mkdirSync(folder, { recursive: true });
  if (!existsSync(file) || !readFileSync(file, "utf8").includes(publicKey))
    appendFileSync(file, `${publicKey}\n`);
  for (const path of [folder, file]) chownSync(path, uid, gid);
  chmodSync(folder, 0o700);
  chmodSync(file, 0o600);
}
