// What the connection methods beyond ssh need. Each part stands alone: one that cannot run here says why in
// lab.json.
import { readFileSync } from "node:fs";
import { bringUpArm64 } from "./arm64.mjs";
import { bringUpBastion, tearDownBastion } from "./bastion.mjs";
import { becomePasswordHash, setUpBecome } from "./become.mjs";
import { bringUpDocker, tearDownDocker } from "./docker.mjs";
import { bringUpDropbear, tearDownDropbear } from "./dropbear.mjs";
import { bringUpKubectl, tearDownKubectl } from "./kubectl.mjs";
import { bringUpLxc, tearDownLxc } from "./lxc.mjs";
import { bringUpLxd, tearDownLxd } from "./lxd.mjs";
import { bringUpNodeless, tearDownNodeless } from "./nodeless.mjs";
import { bringUpNspawn, tearDownNspawn } from "./nspawn.mjs";
import { runFolder, stateFolder } from "./places.mjs";
import { bringUpBuildah, bringUpPodman, tearDownBuildah, tearDownPodman } from "./podman.mjs";
import { buildRootfs } from "./rootfs.mjs";
import { run, step } from "./run.mjs";
import { quote, verifyTool } from "./verify.mjs";

/** A fixed Node, because otherwise every change of the master's Node would rebuild all images. */
const CONTAINER_NODE = "22";
const NSENTER = ["--all", "--root", "--wd", "--"];

/**
 * `through` is a command to which the words of another command are appended; a node that runs through it must echo
 * bytes. A part without `through` verifies itself.
 */
const PARTS = {
  become: {
    up: setUpBecome,
    through: () => ["sudo", "-u", "mitogen-sudo-nopw", "sudo", "-n", "-u", "mitogen-target"],
  },
  docker: {
    up: bringUpDocker,
    down: tearDownDocker,
    through: ({ path, container }) => [path, "exec", "--interactive", container],
  },
  podman: {
    up: bringUpPodman,
    down: tearDownPodman,
    through: ({ path, container }) => [path, "exec", "--interactive", container],
  },
  buildah: {
    after: "podman", // Buildah uses its image.
    up: bringUpBuildah,
    down: tearDownBuildah,
    through: ({ path, container }) => [path, "run", container, "--"],
  },
  lxc: {
    up: bringUpLxc,
    down: tearDownLxc,
    through: ({ path, container }) => [path, "--clear-env", "--name", container, "--"],
  },
  lxd: {
    up: bringUpLxd,
    down: tearDownLxd,
    through: ({ path, container }) => [path, "exec", "--mode=noninteractive", container, "--"],
  },
  nspawn: {
    up: bringUpNspawn,
    down: tearDownNspawn,
    through: ({ leaderPid }) => ["nsenter", "-t", String(leaderPid), ...NSENTER],
  },
  kubectl: {
    up: bringUpKubectl,
    down: tearDownKubectl,
    through: ({ path, pod }) => [path, "exec", "-it", pod, "--"],
  },
  bastion: {
    up: bringUpBastion,
    down: tearDownBastion,
    through: ({ outer, inner, knownHosts }, { identityFile }) => {
      const options = ["-F", "/dev/null", "-o", `UserKnownHostsFile=${knownHosts}`, "-o", "BatchMode=yes"];
      const first = ["ssh", ...options, "-i", identityFile, "-l", "mitogen-bash", outer.host];
      return { argv: [...first, "ssh", "-o", "BatchMode=yes", inner.host], shells: 2 };
    },
  },
  dropbear: {
    up: bringUpDropbear,
    down: tearDownDropbear,
    through: ({ host, port, knownHosts }, { identityFile }) => {
      const options = ["-F", "/dev/null", "-o", `UserKnownHostsFile=${knownHosts}`, "-o", "BatchMode=yes"];
      const argv = ["ssh", ...options, "-i", identityFile, "-p", String(port), "-l", "mitogen-dash", host];
      return { argv, shells: 1 };
    },
  },
  arm64: { up: bringUpArm64 },
  nodeless: {
    after: "docker", // Docker holds an image of it, and its logins use docker.
    up: bringUpNodeless,
    down: tearDownNodeless,
  },
};

/** Brings up every part that can run. Returns `{ part: { available, … } }`. */
export async function bringUpMethods({ node, nodes, users, identityFile }) {
  const image = {};
  await step("rootfs", async () => {
    const passwordHash = await becomePasswordHash();
    Object.assign(image, await buildRootfs({ node: nodes[CONTAINER_NODE], passwordHash }));
    return `${image.stamp}${image.isNew ? " built" : ""}`;
  });
  const context = { ...image, node, users, identityFile };
  const running = {};
  for (const [name, part] of Object.entries(PARTS)) {
    running[name] = (running[part.after] ?? Promise.resolve()).then(() => bringUp(name, part, context));
  }
  const entries = Object.entries(running).map(async ([name, result]) => [name, await result]);
  return Object.fromEntries(await Promise.all(entries));
}

export async function tearDownMethods() {
  for (const [name, { down }] of Object.entries(PARTS).reverse()) {
    if (down) await step(name, () => down().catch((error) => `failed: ${error.message}`));
  }
  await step("mounts", unmount);
}

async function bringUp(name, part, context) {
  let result;
  await step(name, async () => {
    try {
      const { note, ...about } = await attempt(part, context);
      result = { available: true, ...about };
      return note;
    } catch (error) {
      result = { available: false, reason: error.message };
      return `CANNOT RUN: ${error.message}`;
    }
  });
  return result;
}

/**
 * Brings up one part. The remains of a lab that was killed may be in the way, so the second try starts from
 * nothing.
 */
async function attempt({ up, down, through }, context) {
  const once = async () => {
    const about = await up(context);
    if (through) await verify(through(about, context), context);
    return about;
  };
  try {
    return await once();
  } catch (error) {
    if (!down) throw error;
    await down().catch(() => {}); // The error of the second try explains more.
    const { note, ...about } = await once();
    return { ...about, note: `${note}, at the second try: ${error.message}` };
  }
}

/** If shells of other machines are in between, the words are quoted once for each. */
async function verify(through, { node }) {
  if (Array.isArray(through)) return await verifyTool(through);
  const { argv, shells } = through;
  await verifyTool(argv, { node, wrap: (words) => Array(shells).fill(0).reduce(quoteAll, words) });
}

function quoteAll(words) {
  return [words.map(quote).join(" ")];
}

/** Unmounts what the daemons left mounted below the lab's folders, innermost first. */
async function unmount() {
  const points = readFileSync("/proc/self/mounts", "utf8")
    .split("\n")
    .map((line) => line.split(" ")[1])
    .filter((point) => [stateFolder, runFolder].some((folder) => point?.startsWith(`${folder}/`)));
  for (const point of points.reverse()) await run("umount", [point]).catch(() => "");
  return points.length > 0 ? `${points.length} unmounted` : "none left";
}
