// Docker without a network: a daemon with its own socket and storage, an image made from the lab's rootfs, a
// container. It runs in a network namespace of its own, where it may set what it likes and finds no registry
// to ask.
import { existsSync } from "node:fs";
import { join } from "node:path";
import { startDaemon, stopDaemon } from "./daemon.mjs";
import { runFolder, stateFolder, writeWrapper } from "./places.mjs";
import { IDLE, PATH } from "./rootfs.mjs";
import { run, writeIfChanged } from "./run.mjs";

const NAME = "mitogen-lab";
const SOCKET = join(runFolder, "docker.sock");
/** An empty configuration, in place of the machine's own. */
const CONFIG = join(stateFolder, "docker.json");
const NETWORK = ["--iptables=false", "--ip6tables=false", "--bridge=none"];

export async function bringUpDocker({ rootfs, stamp }) {
  const host = `unix://${SOCKET}`;
  const docker = writeWrapper("docker", { env: { DOCKER_HOST: host }, argv: ["/usr/bin/docker"] });
  writeIfChanged(CONFIG, "{}\n");
  const { pid, isNew } = await startDaemon("dockerd", {
    argv: daemonArgv(host),
    isReady: () => answers(docker),
  });
  const image = `${NAME}:${stamp}`;
  if (!(await succeeds(docker, ["image", "inspect", image]))) {
    const settings = [`ENV PATH=${PATH}`, 'CMD ["/bin/sh"]'].map((change) => `-c '${change}'`).join(" ");
    const script = `tar -C "$1" -c . | "$2" import ${settings} - "$3"`;
    await run("sh", ["-ec", script, "sh", rootfs, docker, image]);
    await run(docker, ["tag", image, `${NAME}:latest`]);
  }
  const leaderPid = (await leaderOf(docker, image)) ?? (await startContainer(docker, image));
  const note = `pid ${pid}${isNew ? "" : ", already running"}, image ${image}`;
  return { path: docker, socket: SOCKET, container: NAME, image: NAME, user: "app", leaderPid, note };
}

export async function tearDownDocker() {
  return await stopDaemon("dockerd", { withinMs: 30_000 }); // It ends its containers and containerd first.
}

function daemonArgv(host) {
  const folders = ["--data-root", join(stateFolder, "docker"), "--exec-root", join(runFolder, "docker")];
  const files = ["--pidfile", join(runFolder, "dockerd.pid"), "--config-file", CONFIG];
  const limits = ["--default-ulimit", "nofile=1024:1024"]; // Without CAP_SYS_RESOURCE, the daemon cannot raise its own.
  return [
    "/usr/bin/unshare",
    "--net",
    "--",
    "/usr/sbin/dockerd",
    "--host",
    host,
    ...folders,
    ...files,
    ...NETWORK,
    ...limits,
  ];
}

async function leaderOf(docker, image) {
  const format = "{{.State.Running}} {{.State.Pid}} {{.Config.Image}}";
  const found = await run(docker, ["inspect", "--type=container", "-f", format, NAME]).catch(() => "");
  const [running, pid, from] = found.trim().split(" ");
  return running === "true" && from === image ? Number(pid) : undefined;
}

async function startContainer(docker, image) {
  await run(docker, ["rm", "--force", NAME]).catch(() => "");
  await removeOthers(docker, image);
  const options = ["--detach", "--network=none", "--hostname", NAME, "--name", NAME];
  await run(docker, ["run", ...options, image, ...IDLE]);
  return await leaderOf(docker, image);
}

/** Removes the images of earlier root file systems. Nothing waits for this. */
async function removeOthers(docker, image) {
  const tags = await run(docker, ["images", "--format", "{{.Repository}}:{{.Tag}}", NAME]);
  const others = tags.split("\n").filter((tag) => tag && tag !== image && tag !== `${NAME}:latest`);
  if (others.length > 0) await run(docker, ["rmi", ...others]).catch(() => "");
}

async function answers(docker) {
  return existsSync(SOCKET) && (await succeeds(docker, ["version"]));
}

async function succeeds(command, args) {
  return await run(command, args).then(
    () => true,
    () => false,
  );
}
