/** What a tool gets as stdin, stdout and stderr, and what happens to its output. */
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { type ConnectDetails, EofError, Router } from "../../../src/index.ts";
import { collectLogs } from "../../support/collect-logs.ts";
import { sampleOf } from "../../support/extent.ts";
import { checkLeaks } from "../../support/leak-check.ts";

// This timer keeps the program alive, as in connect-attempt.test.ts.
let hold: NodeJS.Timeout;
before(() => {
  hold = setInterval(() => undefined, 60_000);
});
after(() => clearInterval(hold));

checkLeaks();

type ConnectError = EofError & { details: ConnectDetails };
type MethodName = "ssh" | "sudo" | "su" | "doas" | "docker" | "kubectl" | "lxc" | "exec";

const folder = mkdtempSync(join(tmpdir(), "mitogen-streams-"));
after(() => rmSync(folder, { recursive: true }));

function program(name: string, text: string): string {
  const path = join(folder, name);
  writeFileSync(path, text, { mode: 0o755 });
  return path;
}

/** Runs the boot line, wherever it stands among the arguments. */
const RUN = `while [ $# -gt 1 ] && [ "$1" != sh ]; do shift; done
[ "$1" = sh ] && exec "$@"
exec sh -c "$1"
`;

/** Records for each stream whether it is a terminal, and whether there is a terminal to ask on. */
const observer = program(
  "observer",
  `#!/bin/sh
{ for fd in 0 1 2; do [ -t $fd ] && echo terminal || echo pipe; done; [ -t 2 ] && : </dev/tty && echo tty; } >"$0.log"
${RUN}`,
);

/** Starts a context with `tool` as the method's tool. */
function connect(router: Router, method: string, options: object, tool: string) {
  const known: { [method: string]: object } = {
    ssh: { hostname: "web1", sshPath: tool },
    sudo: { sudoPath: tool },
    su: { suPath: tool },
    doas: { doasPath: tool },
    docker: { container: "c", dockerPath: tool },
    podman: { container: "c", podmanPath: tool },
    buildah: { container: "c", buildahPath: tool },
    kubectl: { pod: "p", kubectlPath: tool },
    lxc: { container: "c", lxcAttachPath: tool },
    lxd: { container: "c", lxcPath: tool },
    incus: { container: "c", incusPath: tool },
    jail: { container: "c", jexecPath: tool },
    exec: { command: [tool] },
  };
  const all = { nodePath: process.execPath, ...known[method], ...options };
  return router[method as MethodName](all as never);
}

const PIPES = ["pipe", "pipe", "pipe"];
/** The terminal is for questions and complaints. Data always goes over pipes. */
const TERMINAL = ["pipe", "pipe", "terminal", "tty"];

describe("the streams of a tool", () => {
  const rows: [method: string, options: object, streams: string[]][] = [
    ["ssh", {}, PIPES],
    ["ssh", { checkHostKeys: "ignore" }, PIPES],
    ["ssh", { checkHostKeys: "accept" }, TERMINAL],
    ["ssh", { password: "hunter2" }, TERMINAL],
    ["sudo", { password: "hunter2" }, PIPES],
    ["docker", {}, PIPES],
    ["doas", {}, TERMINAL],
    ["docker", { container: undefined, image: "i" }, PIPES],
    ["su", { password: "hunter2" }, PIPES],
    ["podman", {}, PIPES],
    ["buildah", {}, PIPES],
    ["kubectl", {}, PIPES],
    ["lxc", {}, PIPES],
    ["lxd", {}, PIPES],
    ["incus", {}, PIPES],
    ["jail", {}, PIPES],
    ["exec", {}, PIPES],
  ];
  for (const [method, options, streams] of sampleOf(3, rows)) {
    it(`${method} ${JSON.stringify(options)}: ${streams.join(", ")}`, async () => {
      await using router = new Router();
      const context = await connect(router, method, options, observer);
      assert.deepEqual(readFileSync(`${observer}.log`, "utf8").trim().split("\n"), streams);
      assert.equal(await context.call(Math.max, 1, 2), 2);
    });
  }
});

describe("a container tool that fails", () => {
  const failing = program("failing", "#!/bin/sh\necho out; echo 'no such container' >&2; exit 4\n");
  const hidesErrors = ["lxc", "lxd", "incus"];
  for (const method of ["docker", "podman", "buildah", "kubectl", "lxc", "lxd", "incus", "jail"]) {
    const hint = hidesErrors.includes(method) ? "where to look, because it hides errors" : "nothing else";
    it(`${method}: the error has its words and exit code, and says ${hint}`, async () => {
      await using router = new Router();
      const error: ConnectError = await connect(router, method, {}, failing).then(
        () => assert.fail("it connected"),
        (reason) => reason,
      );
      assert.ok(error instanceof EofError, String(error));
      assert.equal(error.details.exitCode, 4);
      assert.deepEqual(error.details.stderr.split("\n").sort(), ["no such container", "out"]);
      assert.equal(/hides many errors: check the logs/.test(error.message), hidesErrors.includes(method));
      assert.equal(error.details.hint !== "", hidesErrors.includes(method));
    });
  }
});

describe("what a tool says on its stderr", () => {
  const talking = program(
    "talking",
    `#!/bin/sh
printf 'debug1: Pr\\303\\274fung \\377\\n' >&2
echo "Pseudo-terminal will not be allocated" >&2
{
  while [ ! -e "$0.connected" ]; do sleep 0.02; done
  echo "debug3: channel 0" >&2
  echo "client_loop: send disconnect" >&2
} &
for line; do :; done
sh -c "$line"
echo "Killed by signal 15." >&2
`,
  );

  it("is logged at DEBUG during the connect, at INFO after it except debug lines, and at DEBUG at the end", async () => {
    const logs = collectLogs();
    const levelOf = (text: string): string | undefined =>
      logs.records.find(({ message }) => message.includes(text))?.level;
    await using router = new Router();
    const context = await connect(router, "ssh", { sshDebugLevel: 3 }, talking);
    writeFileSync(`${talking}.connected`, "");
    await logs.until(() => levelOf("client_loop") !== undefined);
    await context.shutdown();
    await logs.until(() => levelOf("Killed by signal") !== undefined);
    logs.stop();
    assert.equal(levelOf("ssh: stderr: debug1: Prüfung \ufffd"), "debug");
    assert.equal(levelOf("ssh: stderr: Pseudo-terminal"), "debug");
    assert.equal(levelOf("ssh.web1: debug3: channel 0"), "debug");
    assert.equal(levelOf("ssh.web1: client_loop: send disconnect"), "info");
    assert.equal(levelOf("ssh.web1: Killed by signal 15."), "debug");
  });
});
