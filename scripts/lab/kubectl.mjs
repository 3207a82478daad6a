// kubectl against a test API server: no cluster, but the real client, its protocols and a pod that is a
// container.
import { randomBytes } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { startDaemon, stopDaemon } from "./daemon.mjs";
import { startNspawn } from "./nspawn.mjs";
import { stateFolder, writeWrapper } from "./places.mjs";
import { HOST, listens, steadyPort } from "./ports.mjs";
import { retry, run, writeIfChanged } from "./run.mjs";

const NAME = "mitogen-lab";
const FOLDER = join(stateFolder, "kube");
const KUBECONFIG = join(FOLDER, "config");
const API_FOLDER = fileURLToPath(new URL("kube", import.meta.url));

export async function bringUpKubectl({ stamp, node }) {
  mkdirSync(FOLDER, { recursive: true });
  const { leaderPid } = await startNspawn("kube-pod", { machine: `${NAME}-pod`, stamp });
  const port = await steadyPort("kube-api");
  const token = existsSync(KUBECONFIG) ? tokenOf(KUBECONFIG) : randomBytes(24).toString("hex");
  writeIfChanged(KUBECONFIG, configuration(port, token), 0o600);
  const version = readdirSync(API_FOLDER).map((file) => readFileSync(join(API_FOLDER, file), "utf8"));
  const { pid, isNew } = await startDaemon("kube-api", {
    argv: [node, join(API_FOLDER, "api.mjs"), String(port), String(leaderPid)],
    env: { MITOGEN_LAB_TOKEN: token },
    version: version.join("\n"),
    isReady: () => listens(port),
  });
  const clients = await findClients();
  const wrappers = clients.map(({ name, program, ...about }) => {
    const env = { KUBECONFIG, KUBECACHEDIR: join(FOLDER, "cache") };
    return { path: writeWrapper(name, { env, argv: [program] }), ...about };
  });
  const versions = clients.map(({ version, protocol }) => `${version} by ${protocol}`).join(", ");
  const note = `pid ${pid}${isNew ? "" : ", already running"}, kubectl ${versions}`;
  return {
    ...wrappers.at(-1),
    clients: wrappers,
    kubeconfig: KUBECONFIG,
    pod: NAME,
    container: "main",
    leaderPid,
    note,
  };
}

export async function tearDownKubectl() {
  const notes = [await stopDaemon("kube-api"), await stopDaemon("kube-pod")];
  return notes.join(", ");
}

/**
 * Debian's kubectl, which speaks SPDY, only unpacked, because it may clash with another; then the machine's own if
 * that is newer.
 */
async function findClients() {
  const debian = join(FOLDER, "debian/usr/bin/kubectl");
  if (!existsSync(debian)) await unpack(join(FOLDER, "debian"));
  const own = (process.env.PATH ?? "").split(":").map((folder) => join(folder, "kubectl"));
  const programs = [debian, own.find((path) => existsSync(path))].filter(Boolean);
  const clients = [];
  for (const program of programs) {
    const text = await run(program, ["version", "--client", "--output=json"]).catch(() => "");
    if (!text) continue; // Some are front ends that must be set up first.
    const version = JSON.parse(text).clientVersion.gitVersion;
    const minor = Number(version.split(".")[1]);
    const protocol = minor >= 31 ? "WebSocket" : "SPDY";
    clients.push({ name: program === debian ? "kubectl-debian" : "kubectl", program, version, protocol });
  }
  return clients;
}

async function unpack(target) {
  const download = `${target}.new`;
  rmSync(download, { recursive: true, force: true });
  mkdirSync(join(download, "deb"), { recursive: true });
  const options = ["-o", "APT::Sandbox::User=root", "-o", "Acquire::Retries=3"];
  await retry(async (tried) => {
    if (tried > 1) await run("apt-get", ["update", "-q", "-o", "DPkg::Lock::Timeout=300"]);
    await run("apt-get", [...options, "download", "kubernetes-client"], { cwd: join(download, "deb") });
  });
  const [file] = readdirSync(join(download, "deb"));
  await run("dpkg", ["-x", join(download, "deb", file), download]);
  rmSync(join(download, "deb"), { recursive: true });
  renameSync(download, target);
}

function configuration(port, token) {
  return `apiVersion: v1
kind: Config
clusters: [{ name: ${NAME}, cluster: { server: "http://${HOST}:${port}/${token}" } }]
users: [{ name: ${NAME}, user: {} }]
contexts: [{ name: ${NAME}, context: { cluster: ${NAME}, user: ${NAME}, namespace: default } }]
current-context: ${NAME}
`;
}

function tokenOf(file) {
  return /:\d+\/(\w+)/.exec(readFileSync(file, "utf8"))[1];
}
