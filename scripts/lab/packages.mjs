// Debian packages: installs what is missing, refreshes the package lists only when that is not enough.
import { existsSync, rmSync, writeFileSync } from "node:fs";
import { retry, run } from "./run.mjs";

// Node 26 needs libatomic1, which a minimal Debian does not have.
const LAB = [
  "libatomic1",
  "openssh-server",
  "openssh-client",
  "dash",
  "bash",
  "zsh",
  "fish",
  "tcsh",
  "ksh",
  "mksh",
  "procps",
  "rsync",
  "git",
  "strace",
  "tmux",
];
const PEERS = ["python3-mitogen", "clustershell", "ansible-core", "fabric"];
const METHODS = [
  ...["sudo", "opendoas", "util-linux", "bsdutils", "sshpass", "dropbear-bin"],
  ...["libpam-google-authenticator", "libpam-oath"],
  ...[
    "iproute2",
    "busybox-static",
    "python3",
    "qemu-user-static",
    "libc6-arm64-cross",
    "libstdc++6-arm64-cross",
    "docker.io",
    "podman",
    "buildah",
    "runc",
    "lxc",
    "lxd",
    "systemd-container",
    "musl",
  ],
];

/** Maintainer scripts ask this program before they start a service. Its exit code 101 forbids that. */
const POLICY = "/usr/sbin/policy-rc.d";

/** The packages of the lab itself must install. Of those for the methods, it installs the ones that can. */
export async function installPackages({ peers, methods }) {
  const needed = await missingOf(peers ? [...LAB, ...PEERS] : LAB);
  const wanted = methods ? await missingOf(METHODS) : [];
  if (needed.length + wanted.length === 0) return "all present";
  return await withoutServices(async () => {
    const failed = [];
    await install([...needed, ...wanted]).catch(async (error) => {
      if (wanted.length === 0) throw error;
      if (needed.length > 0) await install(needed);
      for (const name of wanted) await install([name]).catch(() => failed.push(name));
    });
    const words = failed.length > 0 ? `, FAILED ${failed.join(" ")}` : "";
    return `installed ${[...needed, ...wanted].filter((name) => !failed.includes(name)).join(" ")}${words}`;
  });
}

async function install(names) {
  await retry(async (tried) => {
    if (tried > 1) await apt("update");
    await apt("install", "-y", "--no-install-recommends", ...names);
  }, 4);
}

/** Installing a daemon must not start it, because the lab runs daemons of its own, apart from the machine's. */
async function withoutServices(work) {
  if (existsSync(POLICY)) return await work();
  writeFileSync(POLICY, "#!/bin/sh\nexit 101\n", { mode: 0o755 });
  try {
    return await work();
  } finally {
    rmSync(POLICY, { force: true });
  }
}

async function missingOf(names) {
  // dpkg-query exits 1 when it does not know one of the names, and still prints the others.
  const format = ["-W", "-f", "$" + "{Package} $" + "{db:Status-Status}\n"];
  const known = await run("dpkg-query", [...format, ...names]).catch((error) => error.cause.stdout ?? "");
  const installed = new Set(known.split("\n").map((line) => line.trim()));
  return names.filter((name) => !installed.has(`${name} installed`));
}

function apt(...args) {
  const patience = ["-q", "-o", "DPkg::Lock::Timeout=300", "-o", "Acquire::Retries=3"];
  const keepConfig = ["-o", "Dpkg::Options::=--force-confold"];
  return run("apt-get", [...patience, ...keepConfig, ...args], {
    env: { DEBIAN_FRONTEND: "noninteractive" },
  });
}
