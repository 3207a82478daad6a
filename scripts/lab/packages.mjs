// Debian packages: installs what is missing, refreshes the package lists only when that is not enough.
import { retry, run } from "./run.mjs";

// Node 26 wants libatomic1, which a minimal Debian does not have.
const LAB = [
  "libatomic1",
  "openssh-server",
  "openssh-client",
  "dash",
  "bash",
  "zsh",
  "fish",
  "tcsh",
  "procps",
];
const PEERS = ["python3-mitogen"];

export async function installPackages({ peers }) {
  const wanted = peers ? [...LAB, ...PEERS] : LAB;
  const missing = await missingOf(wanted);
  if (missing.length === 0) return "all present";
  await retry(async (tried) => {
    if (tried > 1) await apt("update");
    await apt("install", "-y", "--no-install-recommends", ...missing);
  }, 4);
  return `installed ${missing.join(" ")}`;
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
