// The file system of every container: busybox, a node, a real su and sudo, rsync, scp, sftp-server and git,
// and the accounts root and app.
import { createHash } from "node:crypto";
import {
  chmodSync,
  copyFileSync,
  cpSync,
  existsSync,
  lchownSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { stateFolder } from "./places.mjs";
import { run, writeIfChanged } from "./run.mjs";

export const rootfs = join(stateFolder, "rootfs");
/** Set by whatever starts a container, because there is no login that would. */
export const PATH = "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin";
/** The first process of a container: ends at once when told to, and collects orphans. */
export const IDLE = ["/sbin/idle"];

const FOLDERS = [
  "usr/bin",
  "usr/sbin",
  "usr/lib",
  "usr/lib64",
  "usr/local/bin",
  "etc/pam.d",
  "etc/sudoers.d",
];
const MOUNTS = ["dev", "proc", "sys", "run", "root", "home/app", "var/log", "mnt"];
const PAM_MODULES = ["pam_unix.so", "pam_permit.so", "pam_rootok.so", "pam_deny.so"];
const SECURITY = "/lib/x86_64-linux-gnu/security";
const SUDO_PLUGINS = "/usr/libexec/sudo";
/** What the other side of rsync, scp, sftp and git needs. */
const TRANSFER_TOOLS = ["/usr/bin/rsync", "/usr/bin/scp", "/usr/lib/openssh/sftp-server", "/usr/bin/git"];
const GIT_NAMES = ["git-upload-pack", "git-receive-pack"];

const IDLE_SCRIPT = `#!/bin/sh
trap 'exit 0' TERM PWR
while :; do
  sleep 3600 &
  wait $!
done
`;

const FILES = {
  "etc/passwd": `root:x:0:0:root:/root:/bin/sh\napp:x:1000:1000:app:/home/app:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n`,
  "etc/group": "root:x:0:\napp:x:1000:\nnogroup:x:65534:\n",
  "etc/hosts": "127.0.0.1 localhost\n",
  "etc/hostname": "mitogen-lab\n",
  "etc/nsswitch.conf": "passwd: files\ngroup: files\nshadow: files\nhosts: files\n",
  "etc/shells": "/bin/sh\n",
  "etc/profile": `export PATH=${PATH}\n`,
  "etc/os-release": 'ID=mitogen-lab\nNAME="mitogen lab"\nVERSION_ID=1\n',
  "etc/login.defs": `ENV_PATH PATH=${PATH}\nENV_SUPATH PATH=${PATH}\n`,
  "etc/pam.d/su":
    "auth sufficient pam_rootok.so\nauth required pam_unix.so\naccount required pam_permit.so\nsession required pam_permit.so\n",
  "etc/pam.d/sudo":
    "auth required pam_unix.so\naccount required pam_permit.so\nsession required pam_permit.so\n",
  "etc/pam.d/other":
    "auth required pam_deny.so\naccount required pam_deny.so\nsession required pam_deny.so\n",
};

/**
 * Builds it unless the same one is there; `stamp` names its contents. `passwordHash` is that of root and app.
 */
export async function buildRootfs({ node, passwordHash }) {
  const source = readFileSync(fileURLToPath(import.meta.url));
  const version = await run(node, ["--version"]);
  const stamp = createHash("sha256")
    .update(source)
    .update(`${version} ${passwordHash}`)
    .digest("hex")
    .slice(0, 12);
  const marker = join(stateFolder, "rootfs.stamp");
  if (existsSync(marker) && readFileSync(marker, "utf8") === stamp) return { rootfs, stamp, isNew: false };
  const folder = `${rootfs}.new`;
  rmSync(folder, { recursive: true, force: true });
  for (const name of [...FOLDERS, ...MOUNTS]) mkdirSync(join(folder, name), { recursive: true });
  for (const name of ["bin", "sbin", "lib", "lib64"]) symlinkSync(`usr/${name}`, join(folder, name));
  for (const name of ["tmp", "var/tmp"]) {
    mkdirSync(join(folder, name), { recursive: true });
    chmodSync(join(folder, name), 0o1777);
  }
  lchownSync(join(folder, "home/app"), 1000, 1000);
  for (const [path, text] of Object.entries(FILES)) writeIfChanged(join(folder, path), text);
  writeIfChanged(join(folder, "etc/shadow"), shadow(passwordHash), 0o600);
  writeIfChanged(join(folder, "sbin/idle"), IDLE_SCRIPT, 0o755);
  await addPrograms(folder, node);
  rmSync(marker, { force: true });
  rmSync(rootfs, { recursive: true, force: true });
  renameSync(folder, rootfs);
  writeFileSync(marker, stamp);
  return { rootfs, stamp, isNew: true };
}

/** A private copy for a container that runs in a plain folder. */
export async function copyRootfs(target, stamp) {
  if (!isStale(target, stamp)) return;
  rmSync(target, { recursive: true, force: true });
  mkdirSync(dirname(target), { recursive: true });
  await run("cp", ["-a", "--reflink=auto", rootfs, target]);
  writeFileSync(`${target}.stamp`, stamp);
}

export function isStale(target, stamp) {
  const marker = `${target}.stamp`;
  return !existsSync(marker) || readFileSync(marker, "utf8") !== stamp;
}

function shadow(hash) {
  return `root:${hash}:19000:0:99999:7:::\napp:${hash}:19000:0:99999:7:::\nnobody:*:19000:0:99999:7:::\n`;
}

async function addPrograms(folder, node) {
  const busybox = join(folder, "usr/bin/busybox");
  copyFileSync("/bin/busybox", busybox);
  chmodSync(busybox, 0o755);
  for (const applet of (await run(busybox, ["--list"])).trim().split("\n")) {
    // Debian's own follow: these two ask for passwords, which busybox does on stdout.
    if (!["su", "sudo", "busybox"].includes(applet)) symlinkSync("busybox", join(folder, "usr/bin", applet));
  }
  copyFileSync(node, join(folder, "usr/local/bin/node"));
  for (const path of TRANSFER_TOOLS) {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    copyFileSync(path, join(folder, path));
  }
  for (const name of GIT_NAMES) symlinkSync("git", join(folder, "usr/bin", name));
  for (const tool of ["su", "sudo"]) {
    copyFileSync(`/usr/bin/${tool}`, join(folder, "usr/bin", tool));
    chmodSync(join(folder, "usr/bin", tool), 0o4755);
  }
  writeIfChanged(
    join(folder, "etc/sudoers"),
    `Defaults secure_path="${PATH}", timestamp_timeout=0, lecture=never\nroot ALL=(ALL:ALL) ALL\napp ALL=(ALL:ALL) ALL\n`,
    0o440,
  );
  cpSync(SUDO_PLUGINS, join(folder, SUDO_PLUGINS), { recursive: true, verbatimSymlinks: true });
  mkdirSync(join(folder, SECURITY), { recursive: true });
  const modules = PAM_MODULES.map((name) => join(SECURITY, name));
  for (const path of modules) copyFileSync(path, join(folder, path));
  const programs = [
    ...TRANSFER_TOOLS,
    "/usr/bin/su",
    "/usr/bin/sudo",
    join(SUDO_PLUGINS, "sudoers.so"),
    ...modules,
    node,
  ];
  for (const library of await librariesOf(programs)) {
    const target = join(folder, library);
    if (existsSync(target)) continue;
    mkdirSync(dirname(target), { recursive: true });
    copyFileSync(library, target); // Follows links: one file under the name that is asked for.
    chmodSync(target, 0o755);
  }
}

async function librariesOf(programs) {
  const listing = await run("ldd", programs);
  return new Set([...listing.matchAll(/(?:=> |^\s+)(\/\S+) \(0x/gm)].map(([, path]) => path));
}
