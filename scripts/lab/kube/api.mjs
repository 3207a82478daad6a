// A Kubernetes API server as far as `kubectl exec` needs one. Its pod is a process of this machine in
// namespaces of its own. A secret path stands in for credentials, which kubectl sends over TLS only.
//   MITOGEN_LAB_TOKEN=… node api.mjs PORT LEADER-PID
import { createServer } from "node:http";
import { execInPod } from "./exec.mjs";
import { acceptSpdy } from "./spdy.mjs";
import { acceptWebSocket } from "./web-socket.mjs";

const [port, leader] = process.argv.slice(2).map(Number);
const PREFIX = `/${process.env.MITOGEN_LAB_TOKEN}`;
const POD = "mitogen-lab";
const CONTAINER = "main";
const CHANNELS = ["stdin", "stdout", "stderr"];

const PODS = { name: "pods", singularName: "pod", namespaced: true, kind: "Pod", shortNames: ["po"] };
const VERBS = ["get", "list", "create"];
const DOCUMENTS = {
  "/api": { kind: "APIVersions", versions: ["v1"] },
  "/apis": { kind: "APIGroupList", apiVersion: "v1", groups: [] },
  "/api/v1": {
    kind: "APIResourceList",
    groupVersion: "v1",
    resources: [
      { ...PODS, verbs: VERBS },
      { ...PODS, name: "pods/exec", kind: "PodExecOptions", verbs: VERBS },
    ],
  },
  "/version": { major: "1", minor: "32", gitVersion: "v1.32.0", platform: "linux/amd64" },
};

const server = createServer((request, response) => {
  const path = pathOf(request);
  const { searchParams } = new URL(request.url, "http://lab");
  const [status, document] = path
    ? answer(path, searchParams)
    : refusal(401, "Unauthorized", "Not the lab's path");
  console.log(request.method, path, status);
  response.writeHead(status, { "Content-Type": "application/json" }).end(JSON.stringify(document));
});

server.on("upgrade", (request, socket, head) => {
  socket.on("error", () => socket.destroy());
  const path = pathOf(request);
  const { searchParams } = new URL(request.url, "http://lab");
  console.log(request.method, path, request.headers.upgrade);
  const container = searchParams.get("container") ?? CONTAINER;
  const isExec = path === `/api/v1/namespaces/default/pods/${POD}/exec` && container === CONTAINER;
  if (!isExec) {
    const body = JSON.stringify(refusal(400, "BadRequest", `Cannot exec at ${path} in ${container}`)[1]);
    const type = `Content-Type: application/json\r\nContent-Length: ${body.length}`;
    return socket.end(`HTTP/1.1 400 Bad Request\r\n${type}\r\n\r\n${body}`);
  }
  const names = new Set(CHANNELS.filter((name) => searchParams.get(name) === "true"));
  const start = (session) => execInPod(leader, searchParams.getAll("command"), session);
  if (/^spdy/i.test(request.headers.upgrade)) return acceptSpdy(request, socket, head, names, start);
  const session = acceptWebSocket(request, socket, head, names);
  if (session) start(session);
});

server.listen(port, "127.0.0.1", () => console.log("listens at port", server.address().port));

/** The path behind the secret, or undefined without it. */
function pathOf({ url }) {
  const { pathname } = new URL(url, "http://lab");
  return pathname.startsWith(`${PREFIX}/`) ? pathname.slice(PREFIX.length) : undefined;
}

function answer(path, query) {
  if (Object.hasOwn(DOCUMENTS, path)) return [200, DOCUMENTS[path]];
  const [, from = "default"] = /^\/api\/v1\/(?:namespaces\/([^/]+)\/)?pods$/.exec(path) ?? [undefined, ""];
  if (from !== "") return [200, list(from, query)];
  const [, namespace, name] = /^\/api\/v1\/namespaces\/([^/]+)\/pods\/([^/]+)$/.exec(path) ?? [];
  if (namespace === "default" && name === POD) return [200, pod()];
  return refusal(404, "NotFound", name ? `pods "${name}" not found` : `Not in the lab: ${path}`);
}

/** The pods of a namespace, chosen by equal labels. */
function list(namespace, query) {
  const wanted = (query.get("labelSelector") ?? "").split(",").filter((each) => each !== "");
  const { labels } = pod().metadata;
  const matches = wanted.every((each) => {
    const [key, value] = each.split(/==?/);
    return labels[key] === value;
  });
  const items = namespace === "default" && matches ? [pod()] : [];
  return { kind: "PodList", apiVersion: "v1", metadata: { resourceVersion: "1" }, items };
}

function pod() {
  const labels = { app: "web", tier: "front" };
  const metadata = { name: POD, namespace: "default", labels, uid: "00000000-0000-4000-8000-000000000001" };
  const containers = [{ name: CONTAINER, image: POD }];
  const containerStatuses = [{ name: CONTAINER, ready: true, state: { running: {} } }];
  const status = { phase: "Running", containerStatuses };
  return { kind: "Pod", apiVersion: "v1", metadata, spec: { containers }, status };
}

function refusal(code, reason, message) {
  return [code, { kind: "Status", apiVersion: "v1", metadata: {}, status: "Failure", reason, message, code }];
}
