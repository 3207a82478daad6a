import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { type TestContext, test } from "node:test";
import { type Host, Inventory, type InventoryConfig } from "../../../src/fleet/index.ts";
import { type Router, run, runWithRouter } from "../../../src/index.ts";
import { lab, needsPart, repoRoot, skipReason } from "../../support/lab.ts";
import { checkLeaks } from "../../support/leak-check.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";

checkLeaks();

const names = (hosts: readonly Host[]): string => hosts.map(({ name }) => name).join(" ");

/** An executable that stands in for a tool. Other tests of this file use the real tools. */
function tool(folder: string, script: string): string {
  const path = join(folder, "tool");
  writeFileSync(path, `#!/bin/sh\n${script}\n`);
  chmodSync(path, 0o755);
  return path;
}

function sshInventory(file: string): Inventory {
  return Inventory.from({ hosts: { web2: { local: {} } }, defaults: { ssh: { sshArgs: ["-F", file] } } });
}

test("Inventory.select finds the hosts of ssh_config", async (t) => {
  const folder = temporaryFolder(t);
  mkdirSync(join(folder, "conf.d/.hidden"), { recursive: true });
  writeFileSync(join(folder, "loop"), `Include ${folder}/loop\nHost looped\n`);
  writeFileSync(join(folder, "conf.d/20-b"), `Host "web4" 'web5' # web6\n  Port 22\n`);
  writeFileSync(join(folder, "conf.d/10-a"), "hOsT=web3\n\tUser ada\n");
  writeFileSync(join(folder, "conf.d/.skipped"), "Host web7\n");
  writeFileSync(
    join(folder, "config"),
    [
      "# Host web0",
      "Host web1   web2 web* !web9 *",
      "Host db1 db1 -oProxyCommand=x a\u001b[2Jb",
      `Include ${folder}/conf.d/* ${folder}/none ${folder}/loop`,
      "Match host web8",
      "  HostName elsewhere",
      "Hostname web10",
    ].join("\r\n"),
  );
  const file = join(folder, "config");
  const all = sshInventory(file);
  assert.equal(names(await all.select("ssh:*")), "web1 ssh:web2 db1 web3 web4 web5 looped");
  assert.equal(names(await all.select("ssh:web[1-3],!ssh:web2")), "web1 web3");
  assert.equal(names(await all.select("web2,ssh:web2")), "web2 ssh:web2");
  const [web3] = await all.select("ssh:web3");
  assert.deepEqual(web3?.steps, [{ ssh: { hostname: "web3", sshArgs: ["-F", file] } }]);
  const [unlisted] = await all.select("ssh:ada@10.0.0.1:2222");
  assert.deepEqual(unlisted?.steps, [
    { ssh: { hostname: "10.0.0.1", username: "ada", port: 2222, sshArgs: ["-F", file] } },
  ]);
  await assert.rejects(all.select("ssh:x*"), {
    message: 'Cannot select "ssh:x*": no Host line of ssh_config has a name that matches',
  });
  await assert.rejects(sshInventory(join(folder, "gone")).select("ssh:*"), /Cannot read ssh_config ".*gone"/);
  await assert.rejects(sshInventory(folder).select("ssh:*"), /it is not a file, or has more than/);
  for (const nothing of ["none", "/dev/null"])
    await assert.rejects(sshInventory(nothing).select("ssh:*"), /no Host line/);
});

test("Inventory.select follows links and folders with globs of ssh_config", async (t) => {
  const folder = temporaryFolder(t);
  for (const name of ["a1", "a2", "b1"]) {
    mkdirSync(join(folder, name));
    writeFileSync(join(folder, name, "config"), `Host in-${name}\n`);
  }
  symlinkSync(join(folder, "b1"), join(folder, "a3"));
  writeFileSync(join(folder, "main"), `Include ${folder}/a*/conf?g\n`);
  assert.equal(names(await sshInventory(join(folder, "main")).select("ssh:*")), "in-a1 in-a2 in-b1");
});

test("ssh reaches the hosts of ssh_config as ssh_config says", { skip: skipReason() }, async () => {
  const { config, identityFile } = (lab() as NonNullable<ReturnType<typeof lab>>).ssh;
  const all = Inventory.from({ defaults: { ssh: { sshArgs: ["-F", config], identityFile } } });
  assert.ok((await all.select("ssh:mitogen-*")).length > 10);
  const [host] = await all.select("ssh:mitogen-dash");
  await runWithRouter(async (router) => {
    const { ssh } = (host as Host).steps[0] as { ssh: Parameters<Router["ssh"]>[0] };
    const context = await router.ssh(ssh);
    assert.equal((await run(context, ["id", "-un"])).stdout.trim(), "mitogen-dash");
  });
});

test("Inventory.select finds running containers", async (t) => {
  const docker = needsPart(t, "docker");
  if (docker === undefined) return;
  const all = Inventory.from({ defaults: { docker: { dockerPath: docker.path, username: docker.user } } });
  const pattern = `docker:${docker.container.slice(0, -1)}*`;
  const found = await all.select(`${pattern},!docker:mitogen-conf*`);
  assert.equal(names(found), `docker:${docker.container}`);
  const step = { docker: { dockerPath: docker.path, username: docker.user, container: docker.container } };
  assert.deepEqual(found[0]?.steps, [step]);
  assert.deepEqual(await all.select(`docker:${docker.container}`), found);
  await assert.rejects(all.select("docker:no-such*"), {
    message: 'Cannot select "docker:no-such*": no running container has a name that matches',
  });
  await runWithRouter(async (router) => {
    const context = await router.docker(step.docker);
    assert.equal((await run(context, ["id", "-un"])).stdout.trim(), docker.user);
  });
});

test("Inventory.select finds running pods by name and by label", async (t) => {
  const kubectl = needsPart(t, "kubectl");
  if (kubectl === undefined) return;
  const { path, stop } = await kubeApi(t, kubectl);
  const all = Inventory.from({ defaults: { kubectl: path } });
  const found = `kube:default/${kubectl.pod}`;
  const cases: [string, string][] = [
    ["kube:default", found],
    ["kube:default/", found],
    ["kube:default/mito*", found],
    ["kube:default/app=web", found],
    ["kube:default/app=web,tier=front", found],
    ["kube:default/app=web,tier=front,!local:1", found],
    ["kube:*/app=web", found],
    ["kube:/app=web", `kube:/${kubectl.pod}`],
    [`kube:default/${kubectl.pod}`, found],
  ];
  for (const [pattern, wanted] of cases) assert.equal(names(await all.select(pattern)), wanted, pattern);
  const [host] = await all.select("kube:default");
  assert.deepEqual(host?.steps, [
    { kubectl: { ...path, pod: kubectl.pod, kubectlArgs: [...path.kubectlArgs, "--namespace=default"] } },
  ]);
  for (const pattern of [
    "kube:default/x*",
    "kube:default/app=db",
    "kube:default/app=web,tier=back",
    "kube:empty",
  ]) {
    await assert.rejects(all.select(pattern), {
      message: `Cannot select "${pattern}": no running pod matches`,
    });
  }
  await assert.rejects(all.select("kube:a b/x*"), /"a b" is not a namespace/);
  await stop();
  const again = Inventory.from({ defaults: { kubectl: path } });
  await assert.rejects(
    again.select("kube:default"),
    /^InventoryError: Cannot select "kube:default": ".*" ended with exit code 1: .*refused/s,
  );
  assert.equal(names(await again.select("local:1")), "local1");
});

/** The lab's API server with this checkout's list of pods, at a port of its own, and how kubectl finds it. */
async function kubeApi(
  t: TestContext,
  kubectl: { path: string; leaderPid: number },
): Promise<{ path: { kubectlPath: string; kubectlArgs: string[] }; stop: () => Promise<void> }> {
  const folder = temporaryFolder(t);
  const script = join(repoRoot, "scripts/lab/kube/api.mjs");
  const api: ChildProcess = spawn(process.execPath, [script, "0", String(kubectl.leaderPid)], {
    env: { ...process.env, MITOGEN_LAB_TOKEN: "secret" },
    stdio: ["ignore", "pipe", "inherit"],
  });
  const stop = async (): Promise<void> => {
    if (api.exitCode !== null || api.signalCode !== null) return;
    api.kill();
    await once(api, "exit");
  };
  t.after(stop);
  const lines = createInterface({ input: api.stdout as NodeJS.ReadableStream });
  const [line] = (await once(lines, "line")) as [string];
  const port = /\d+$/.exec(line)?.[0];
  const args = [`--server=http://127.0.0.1:${port}/secret`, `--cache-dir=${folder}`];
  return { path: { kubectlPath: kubectl.path, kubectlArgs: args }, stop };
}

test("A source that fails or floods fails only the selections that use it", async (t) => {
  const folder = temporaryFolder(t);
  const failing = (script: string, method: "docker" | "kubectl" = "docker"): InventoryConfig => ({
    hosts: { web1: { local: {} } },
    groups: { boxes: ["docker:*"], both: ["@boxes", "web1"] },
    defaults: { [method]: { [`${method}Path`]: tool(folder, script) } },
  });
  const broken = Inventory.from(failing("printf 'no \\033[2Jdaemon\\nat all\\n' >&2; exit 3"));
  assert.deepEqual((await broken.select("web1"))[0]?.groups, []);
  assert.equal(names(await broken.select("*")), "web1");
  for (const pattern of ["@both", "docker:x*"]) {
    await assert.rejects(broken.select(pattern), {
      code: "ERR_INVENTORY",
      message: /: ".*tool ps" ended with exit code 3: no daemon; at all$/,
    });
  }
  const killed = Inventory.from(failing("kill -9 $$"));
  await assert.rejects(killed.select("docker:*"), /was ended by SIGKILL$/);
  const flood = Inventory.from(failing("exec yes aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"));
  await assert.rejects(flood.select("docker:*"), /printed more than 67108864 bytes$/);
  const odd = Inventory.from(
    failing("printf 'ok\\n-x\\na b\\n\\033]0;x\\007\\n\\n../up\\nl1,ok2/l1\\n$(id)\\n'"),
  );
  assert.equal(names(await odd.select("docker:*")), "docker:ok docker:l1");
  const gone = Inventory.from({ defaults: { docker: { dockerPath: join(folder, "none") } } });
  await assert.rejects(gone.select("docker:*"), /cannot be started: spawn .*none ENOENT$/);
});

test("Inventory.select kills a source, and the processes it started, when its signal aborts", async (t) => {
  const folder = temporaryFolder(t);
  const pids = join(folder, "pids");
  const dockerPath = tool(folder, `sleep 1000 & echo "$$ $!" > ${pids}.new; mv ${pids}.new ${pids}; wait`);
  const all = Inventory.from({ defaults: { docker: { dockerPath } } });
  const controller = new AbortController();
  const pending = all.select("docker:*", { signal: controller.signal });
  const isOver = assert.rejects(pending, { name: "AbortError" });
  while (!existsSync(pids)) await new Promise(setImmediate);
  controller.abort();
  await isOver;
  for (const pid of readFileSync(pids, "utf8").trim().split(" ")) {
    for (;;) {
      const state = existsSync(`/proc/${pid}/stat`) ? readFileSync(`/proc/${pid}/stat`, "utf8") : "";
      if (state === "" || /\) [ZX] /.test(state)) break;
      await new Promise(setImmediate);
    }
  }
});

test("Inventory runs each source once, even for several selections at a time", async (t) => {
  const folder = temporaryFolder(t);
  const count = join(folder, "count");
  const dockerPath = tool(folder, `echo x >> ${count}; echo web1; echo web2`);
  const all = Inventory.from({ groups: { boxes: "docker:*" }, defaults: { docker: { dockerPath } } });
  const patterns = ["@boxes", "docker:*", "@boxes,!docker:web1"];
  const found = await Promise.all(patterns.map((pattern) => all.select(pattern)));
  assert.deepEqual(found.map(names), ["docker:web1 docker:web2", "docker:web1 docker:web2", "docker:web2"]);
  assert.equal(readFileSync(count, "utf8"), "x\n");
});
