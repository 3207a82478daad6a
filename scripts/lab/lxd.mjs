// LXD: its daemon in a network namespace of its own (it would ask for images), one container from an image
// made by hand.
import { mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { startDaemon, stopDaemon } from "./daemon.mjs";
import { stateFolder, writeWrapper } from "./places.mjs";
import { IDLE, PATH } from "./rootfs.mjs";
import { run, writeIfChanged } from "./run.mjs";

const NAME = "mitogen-lab";
const FOLDER = join(stateFolder, "lxd");
const DAEMON = ["/usr/bin/unshare", "--net", "--", "/usr/bin/lxd", "--group", "root"];

const PRESEED = `storage_pools: [{ name: default, driver: dir }]
profiles: [{ name: default, devices: { root: { path: /, pool: default, type: disk } } }]
`;

const METADATA = `architecture: x86_64
creation_date: 1700000000
properties: { description: ${NAME}, os: ${NAME}, release: "1" }
`;

// Without subordinate ids and AppArmor only a privileged container can run.
const SETTINGS = {
  "security.privileged": "true",
  "environment.PATH": PATH,
  "raw.lxc": `lxc.init.cmd = ${IDLE.join(" ")}\nlxc.apparmor.profile = unconfined`,
};

export async function bringUpLxd({ rootfs, stamp }) {
  mkdirSync(FOLDER, { recursive: true });
  const env = { LXD_DIR: FOLDER };
  const isReady = () => succeeds("/usr/bin/lxd", ["waitready", "--timeout=1"], { env });
  const { pid, isNew } = await startDaemon("lxd", { argv: DAEMON, env, isReady });
  const lxc = writeClient();
  if (!(await succeeds(lxc, ["storage", "show", "default"]))) {
    await run("/usr/bin/lxd", ["init", "--preseed"], { env, input: PRESEED });
  }
  const image = `${NAME}-${stamp}`;
  if (!(await succeeds(lxc, ["image", "show", image]))) await importImage(lxc, rootfs, image);
  const leaderPid = (await leaderOf(lxc, image)) ?? (await launch(lxc, image));
  const note = `pid ${pid}${isNew ? "" : ", already running"}, image ${image}`;
  return { path: lxc, container: NAME, leaderPid, note };
}

export async function tearDownLxd() {
  // The daemon leaves its containers running when it ends.
  await run(writeClient(), ["stop", "--force", NAME], { timeout: 20_000 }).catch(() => "");
  return await stopDaemon("lxd");
}

function writeClient() {
  const env = { LXD_DIR: FOLDER, LXD_CONF: join(stateFolder, "lxd-client") };
  return writeWrapper("lxc", { env, argv: ["/usr/bin/lxc"] });
}

async function importImage(lxc, rootfs, image) {
  const folder = join(stateFolder, "lxd-image");
  rmSync(folder, { recursive: true, force: true });
  writeIfChanged(join(folder, "metadata.yaml"), METADATA);
  await run("tar", ["-C", folder, "-cf", join(folder, "meta.tar"), "metadata.yaml"]);
  await run("tar", ["-C", rootfs, "-cf", join(folder, "rootfs.tar"), "."]);
  const args = ["image", "import", join(folder, "meta.tar"), join(folder, "rootfs.tar"), "--alias", image];
  // The same rootfs may have been imported under another name.
  await run(lxc, args).catch(async (error) => {
    const [, fingerprint] = /fingerprint[^0-9a-f]+([0-9a-f]{12,})/.exec(error.message) ?? [];
    if (!fingerprint) throw error;
    await run(lxc, ["image", "alias", "create", image, fingerprint]);
  });
  rmSync(folder, { recursive: true });
}

async function launch(lxc, image) {
  await run(lxc, ["delete", "--force", NAME]).catch(() => "");
  const others = JSON.parse(await run(lxc, ["query", "/1.0/images?recursion=1"])).filter(
    ({ aliases }) => !aliases.some(({ name }) => name === image),
  );
  for (const { fingerprint } of others) await run(lxc, ["image", "delete", fingerprint]);
  const settings = Object.entries(SETTINGS).flatMap(([key, value]) => ["-c", `${key}=${value}`]);
  await run(lxc, ["launch", image, NAME, "-c", `user.image=${image}`, ...settings]);
  return await leaderOf(lxc, image);
}

async function leaderOf(lxc, image) {
  const listing = await run(lxc, ["query", `/1.0/instances/${NAME}?recursion=1`]).catch(() => "");
  if (!listing) return undefined;
  const { status, config, state } = JSON.parse(listing);
  return status === "Running" && config["user.image"] === image ? state.pid : undefined;
}

async function succeeds(command, args, options) {
  return await run(command, args, options).then(
    () => true,
    () => false,
  );
}
