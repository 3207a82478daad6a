// The hosts without a usable node: what each is like, its root file system, and what is mounted there.
import {
  chmodSync,
  chownSync,
  copyFileSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readlinkSync,
  realpathSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { publicFolder, runFolder, stateFolder } from "./places.mjs";
import { retry, run } from "./run.mjs";

export const FOLDER = join(stateFolder, "nodeless");
/** The npm package with the node that is too old. */
export const MANIFEST = join(dirname(fileURLToPath(import.meta.url)), "nodeless");
/** Whose home every host has. */
export const ACCOUNT = "mitogen-nonode";
export const OLD_NODE = "/opt/node10/bin";
const HOME = `home/${ACCOUNT}`;
const MUSL = "/lib/x86_64-linux-musl/libc.so";
const DEBIAN_PATH = "/usr/local/bin:/usr/bin:/bin";
/** What a node may be kept in, by every login. */
const WRITABLE = [HOME, "var/tmp", "tmp"];

const everywhere = (options) => WRITABLE.map((folder) => [folder, options]);
const readOnlyRoot = [["/", "bind,ro"]];

/**
 * `root` is another host's if it has none of its own; `tmpfs` are mounted in it. `without` are commands that
 * busybox would have.
 */
export const HOSTS = {
  busybox: {},
  musl: { files: { "lib/ld-musl-x86_64.so.1": MUSL } },
  "no gzip": { without: ["gzip", "gunzip", "zcat"] },
  "no gzip, no sum": { without: ["gzip", "gunzip", "zcat", "sha256sum", "openssl"] },
  "noexec home and tmp": {
    tmpfs: [
      [HOME, "noexec"],
      ["tmp", "noexec"],
    ],
  },
  "noexec everywhere": { tmpfs: everywhere("noexec") },
  "read-only root": { tmpfs: [["tmp", "size=128m"]], remount: readOnlyRoot },
  "read-only everywhere": { remount: readOnlyRoot },
  "full disk": { tmpfs: everywhere("size=8m") },
  "full folder": { tmpfs: [[HOME, "size=8m"]] },
  "home of another": { homeOf: 1 },
  debian: { isDebian: true },
  "old node": { root: "debian", path: `${OLD_NODE}:${DEBIAN_PATH}` },
  "umask 077": { root: "debian", env: { LAB_UMASK: "077" } },
  "umask 000": { root: "debian", env: { LAB_UMASK: "000" } },
};

export function rootOf(name) {
  return join(FOLDER, "hosts", (HOSTS[name].root ?? name).replaceAll(/\W+/g, "-"));
}

/** The names of hosts that have a root file system of their own. */
function ownRoots() {
  return Object.keys(HOSTS).filter((name) => HOSTS[name].root === undefined);
}

/** What sshd sets for a login there. */
export function variablesOf(name) {
  const { path, env = {} } = HOSTS[name];
  const isDebian = rootOf(name) === rootOf("debian");
  return { PATH: path ?? (isDebian ? DEBIAN_PATH : "/bin"), ...env };
}

/** Builds all root file systems anew. */
export async function buildHosts(users) {
  rmSync(join(FOLDER, "hosts"), { recursive: true, force: true });
  const applets = (await run("/bin/busybox", ["--list"])).trim().split("\n");
  for (const name of ownRoots()) {
    const root = rootOf(name);
    for (const folder of ["dev", "proc", "root", "run", "home", "var/lib"]) {
      mkdirSync(join(root, folder), { recursive: true });
    }
    chmodSync(join(root, "root"), 0o700);
    for (const folder of ["tmp", "var/tmp"]) {
      mkdirSync(join(root, folder), { recursive: true });
      chmodSync(join(root, folder), 0o1777);
    }
    if (HOSTS[name].isDebian) await buildDebian(root, users);
    else buildBusybox(root, { applets, users, ...HOSTS[name] });
  }
}

/** No library, unless `files` has one. */
function buildBusybox(root, { applets, users, without = [], files = {}, homeOf }) {
  mkdirSync(join(root, "bin"));
  mkdirSync(join(root, "etc"));
  copyFileSync("/bin/busybox", join(root, "bin/busybox"));
  chmodSync(join(root, "bin/busybox"), 0o755);
  for (const name of applets) {
    if (name !== "busybox" && !without.includes(name)) symlinkSync("busybox", join(root, "bin", name));
  }
  if (without.length > 0) {
    // busybox's own shell runs what busybox has, whatever is in PATH. This one needs no library either.
    rmSync(join(root, "bin/sh"));
    copyFileSync("/bin/mksh-static", join(root, "bin/sh"));
  }
  for (const [path, source] of Object.entries(files)) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    copyFileSync(source, join(root, path)); // Follows links.
    chmodSync(join(root, path), 0o755);
  }
  const account = users.find(({ name }) => name === ACCOUNT);
  const { uid, gid } = statSync(account.home);
  const lines = [`root:x:0:0:root:/root:/bin/sh`, `${ACCOUNT}:x:${uid}:${gid}::/${HOME}:/bin/sh`];
  writeFileSync(join(root, "etc/passwd"), lines.map((line) => `${line}\n`).join(""));
  makeHome(join(root, HOME), homeOf === undefined ? { uid, gid } : { uid: homeOf, gid: homeOf });
}

/** This machine's own /usr and /etc are mounted in it; nothing that it writes reaches this machine. */
async function buildDebian(root, users) {
  for (const folder of ["usr", "etc", "opt/node10", runFolder]) {
    mkdirSync(join(root, folder), { recursive: true });
  }
  for (const name of ["bin", "sbin", "lib", "lib64"]) {
    if (existsSync(`/${name}`)) symlinkSync(readlinkSync(`/${name}`), join(root, name));
  }
  for (const { home } of users) {
    makeHome(join(root, home), statSync(home));
    writeFileSync(join(root, home, ".bashrc"), '[ -z "$LAB_UMASK" ] || umask "$LAB_UMASK"\n');
  }
  const folder = join(FOLDER, "node10");
  mkdirSync(folder, { recursive: true });
  for (const file of ["package.json", "package-lock.json"]) {
    copyFileSync(join(MANIFEST, file), join(folder, file));
  }
  await retry(() => run("npm", ["ci", "--prefix", folder, "--no-audit", "--no-fund"], { cwd: folder }));
}

function makeHome(path, { uid, gid }) {
  mkdirSync(path, { recursive: true });
  chmodSync(path, 0o755);
  chownSync(path, uid, gid);
}

/** The commands that mount what the hosts need. */
export function mountCommands() {
  return ownRoots().flatMap((name) => {
    const root = rootOf(name);
    const { isDebian, tmpfs = [], remount = [] } = HOSTS[name];
    return [
      ...(isDebian ? mountDebian(root) : []),
      ...(remount.length > 0 ? [`mount --bind '${root}' '${root}'`] : []),
      `mount -t proc proc '${root}/proc'`,
      `mount --rbind /dev '${root}/dev'`,
      ...tmpfs.flatMap(([folder, options]) => {
        const { mode, uid, gid } = statSync(join(root, folder));
        const owner = `mode=${(mode & 0o7777).toString(8)},uid=${uid},gid=${gid}`;
        return [`mount -t tmpfs -o ${options},${owner} none '${root}/${folder}'`];
      }),
      ...remount.map(([folder, options]) => `mount -o remount,${options} '${join(root, folder)}'`),
    ];
  });
}

function mountDebian(root) {
  const binds = ["usr", "etc"].flatMap((folder) => [
    `mount --bind '/${folder}' '${root}/${folder}'`,
    `mount -o remount,bind,ro '${root}/${folder}'`,
  ]);
  const tools = `${root}${publicFolder}/bin`;
  return [
    ...binds,
    // Where this machine may have a node, and the lab has several.
    ...["node", "nodejs"]
      .map((name) => join("/usr/bin", name))
      .filter((path) => existsSync(path))
      .map((path) => realpathSync(path))
      .filter((path) => path.startsWith("/usr/") && lstatSync(path).isFile())
      .map((path) => `mount --bind /dev/null '${root}${path}'`),
    `mount -t tmpfs none '${root}/usr/local'`,
    `mkdir -p '${root}/usr/local/bin' '${tools}'`,
    `mount --bind '${publicFolder}/bin' '${tools}'`,
    `mount --bind '${runFolder}' '${root}${runFolder}'`,
    `mount --bind '${join(FOLDER, "node10/node_modules/node10")}' '${root}/opt/node10'`,
  ];
}
