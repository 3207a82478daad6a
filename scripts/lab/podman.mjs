// Podman and Buildah: one storage of their own, the image made from the lab's rootfs, a container for each.
import { join } from "node:path";
import { runFolder, stateFolder, writeWrapper } from "./places.mjs";
import { IDLE, PATH } from "./rootfs.mjs";
import { run, writeIfChanged } from "./run.mjs";

const NAME = "mitogen-lab";
/** A name of its own, because Buildah takes a container of Podman's with the same name for its own. */
const BUILDAH_NAME = `${NAME}-buildah`;
const STORAGE = join(stateFolder, "containers");

// crun refuses hybrid cgroups, and the default limits are above what a machine without CAP_SYS_RESOURCE may
// set.
const CONTAINERS_CONF = `[containers]
netns = "none"
default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]
cgroupns = "host"
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "none"
pull_policy = "never"
`;

const STORAGE_CONF = `[storage]
driver = "overlay"
graphroot = "${join(STORAGE, "storage")}"
runroot = "${join(runFolder, "containers")}"
`;

function environment() {
  const conf = join(STORAGE, "containers.conf");
  const storage = join(STORAGE, "storage.conf");
  writeIfChanged(conf, CONTAINERS_CONF);
  writeIfChanged(storage, STORAGE_CONF);
  return { CONTAINERS_CONF: conf, CONTAINERS_STORAGE_CONF: storage };
}

export async function bringUpPodman({ rootfs, stamp }) {
  const podman = writeWrapper("podman", { env: environment(), argv: ["/usr/bin/podman"] });
  const image = `localhost/${NAME}:${stamp}`;
  if (!(await succeeds(podman, ["image", "exists", image]))) {
    const settings = [`ENV PATH=${PATH}`, 'CMD ["/bin/sh"]'].map((change) => `-c '${change}'`).join(" ");
    const script = `tar -C "$1" -c . | "$2" import -q ${settings} - "$3"`;
    await run("sh", ["-ec", script, "sh", rootfs, podman, image]);
    await run(podman, ["tag", image, `localhost/${NAME}:latest`]);
  }
  const before = await leaderOf(podman, image);
  const leaderPid = before ?? (await startContainer(podman, image));
  const note = `image ${image}${before ? ", already running" : ""}`;
  return { path: podman, container: NAME, image: NAME, user: "app", leaderPid, note };
}

export async function tearDownPodman() {
  const podman = writeWrapper("podman", { env: environment(), argv: ["/usr/bin/podman"] });
  await run(podman, ["rm", "--force", "--ignore", "--time", "5", NAME]);
  return `container ${NAME} removed`;
}

/** A working container: Buildah starts a process in it for every command and none in between. */
export async function bringUpBuildah({ stamp }) {
  const env = { ...environment(), BUILDAH_ISOLATION: "chroot" };
  const buildah = writeWrapper("buildah", { env, argv: ["/usr/bin/buildah"] });
  const image = `localhost/${NAME}:${stamp}`;
  const format = "{{.FromImage}}";
  const found = await run(buildah, ["inspect", "--type=container", "-f", format, BUILDAH_NAME]).catch(
    () => "",
  );
  const isNew = found.trim() !== image;
  if (isNew) {
    await run(buildah, ["rm", BUILDAH_NAME]).catch(() => "");
    await run(buildah, ["from", "--pull-never", "--name", BUILDAH_NAME, image]);
  }
  return {
    path: buildah,
    container: BUILDAH_NAME,
    user: "app",
    note: isNew ? `from ${image}` : "already there",
  };
}

export async function tearDownBuildah() {
  const env = { ...environment(), BUILDAH_ISOLATION: "chroot" };
  const buildah = writeWrapper("buildah", { env, argv: ["/usr/bin/buildah"] });
  await run(buildah, ["rm", BUILDAH_NAME]).catch(() => "");
  return `container ${BUILDAH_NAME} removed`;
}

async function leaderOf(podman, image) {
  const format = "{{.State.Running}} {{.State.Pid}} {{.ImageName}}";
  const found = await run(podman, ["inspect", "--type=container", "-f", format, NAME]).catch(() => "");
  const [running, pid, from] = found.trim().split(" ");
  if (running !== "true" || from !== image) return undefined;
  // If the container was killed together with its monitor, which would have noted that, it still counts as
  // running.
  return (await succeeds(podman, ["exec", NAME, "/bin/true"])) ? Number(pid) : undefined;
}

async function startContainer(podman, image) {
  await run(podman, ["rm", "--force", "--ignore", "--time", "5", NAME]).catch(() => "");
  await removeOthers(podman, image);
  await run(podman, ["run", "--detach", "--hostname", NAME, "--name", NAME, image, ...IDLE]);
  return await leaderOf(podman, image);
}

/** Removes the images of earlier root file systems, with Buildah's container on one of them. */
async function removeOthers(podman, image) {
  const tags = await run(podman, ["images", "--format", "{{.Repository}}:{{.Tag}}", `localhost/${NAME}`]);
  const others = tags.split("\n").filter((tag) => tag && tag !== image && tag !== `localhost/${NAME}:latest`);
  if (others.length > 0) await run(podman, ["rmi", "--force", ...others]).catch(() => "");
}

async function succeeds(command, args) {
  return await run(command, args).then(
    () => true,
    () => false,
  );
}
