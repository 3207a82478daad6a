/** Runs the examples of docs/connections.md against the lab, and compares its tables with the sources. */
import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it, test } from "node:test";
import { type Lab, type LabHost, lab, repoRoot, skipReason } from "../support/lab.ts";
import { part } from "../support/lab-methods.ts";
import { runProgram } from "../support/run-program.ts";

const page = readFileSync(join(repoRoot, "docs/connections.md"), "utf8");
const quote = JSON.stringify;

/**
 * Literals of the examples, and what the lab has in their place, by the name after `runs:`. A replacement may bring
 * further options along.
 */
const replacements: Readonly<Record<string, () => Record<string, string>>> = {
  local: () => ({}),
  thread: () => ({}),
  ping: () => ({}),
  ssh: () => ({
    '"web1.example.com"': sshd(),
    '"/home/ada/.ssh/deploy_ed25519"': quote(lab()?.ssh.identityFile),
    "ssh.web1.example.com": `ssh.${lab()?.ssh.host}:${lab()?.ssh.port}`,
    deploy: "mitogen-dash",
  }),
  keep: () => ({
    '"web1.example.com"': `${sshd()}, ${key()}`,
    deploy: "mitogen-dash",
  }),
  sudo: () => ({
    '"web1.example.com"': `${sshd()}, ${key()}`,
    '"ada"': '"mitogen-sudo-pw"',
    "/run/secrets/ada": part("become").passwordFile,
    "www-data": part("become").target,
  }),
  su: () => ({
    '"postgres"': `${quote(part("become").target)}, ${node()}`,
    "su.postgres postgres": `su.${part("become").target} ${part("become").target}`,
  }),
  doas: () => ({
    '"web1.example.com"': `${sshd()}, ${key()}`,
    '"ada"': '"mitogen-doas-pw"',
    "/run/secrets/ada": part("become").passwordFile,
  }),
  docker: () => containerOf("docker", "web", `dockerPath: ${quote(part("docker").path)}`),
  podman: () => {
    const { path, image } = part("podman");
    return {
      'image: "node"': `image: ${quote(image)}, podmanPath: ${quote(path)}`,
      "podman.node": `podman.${image}`,
    };
  },
  buildah: () => ({
    '"node-working-container"': `${quote(part("buildah").container)}, buildahPath: ${quote(part("buildah").path)}`,
  }),
  kubectl: () => {
    const { path, pod, container, kubeconfig } = part("kubectl");
    return {
      '"web-0"': `${quote(pod)}, kubectlPath: ${quote(path)}`,
      '"app"': quote(container),
      '"--namespace", "prod"': `"--kubeconfig", ${quote(kubeconfig)}`,
    };
  },
  lxc: () => containerOf("lxc", "web", `lxcAttachPath: ${quote(part("lxc").path)}`),
  lxd: () => containerOf("lxd", "web", `lxcPath: ${quote(part("lxd").path)}`),
  setns: () => ({
    'container: "web"': `container: ${quote(part("docker").container)}, dockerPath: ${quote(part("docker").path)}`,
    "setns.web": `setns.${part("docker").container}`,
  }),
  exec: () => ({ "process.execPath": quote(lab()?.node) }),
  connect: () => ({ "process.execPath": quote(lab()?.node), "www-data": part("become").target }),
  chain: () => {
    const { outer, inner, knownHosts } = part("bastion");
    return {
      ...containerOf("docker", "web", `dockerPath: ${quote(part("docker").path)}`),
      '"bastion.example.com"': `${sshd({ ...outer, knownHosts })}, ${key()}`,
      '"ada"': '"mitogen-dash"',
      '"docker1"': `${quote(inner.host)}, port: ${inner.port}, checkHostKeys: "accept"`,
      '"deploy"': '"mitogen-sudo-nopw"',
      "ssh.bastion.example.com.ssh.docker1": `ssh.${outer.host}.ssh.${inner.host}`,
    };
  },
  many: () => ({
    '"web1", "web2", "web3"': Array(3).fill(quote(lab()?.ssh.host)).join(", "),
    "{ hostname,": `{ hostname: ${sshd()}, ${key()},`,
    '"deploy"': '"mitogen-dash"',
  }),
  signal: () => ({
    '"web1.example.com"': `${sshd()}, ${key()}`,
    '"deploy"': '"mitogen-dash"',
  }),
};

/** The variables that the text around the examples describes. */
const PROLOGUE = 'import { Router as RouterOfTheTest } from "mitogen"; const router = new RouterOfTheTest();';

/** Methods that the lab cannot run. */
const NOT_RUN = ["incus", "jail"];

/**
 * A host name, and the options that `ssh` needs to reach it without this machine's own settings.
 */
function sshd(server: LabHost & { knownHosts: string } = lab()?.ssh as Lab["ssh"]): string {
  const { host, port, knownHosts } = server;
  return `${quote(host)}, port: ${port}, sshArgs: ["-F", "/dev/null", "-o", "UserKnownHostsFile=${knownHosts}"]`;
}

function key(): string {
  return `identityFile: ${quote(lab()?.ssh.identityFile)}`;
}

/** A node that every account may run. */
function node(): string {
  return `nodePath: ${quote(lab()?.node)}`;
}

function containerOf(name: "docker" | "lxc" | "lxd", shown: string, more: string): Record<string, string> {
  const { container } = part(name);
  return {
    [`container: "${shown}"`]: `container: ${quote(container)}, ${more}`,
    [`${name}.${shown}`]: `${name}.${container}`,
  };
}

interface Example {
  readonly name: string;
  readonly section: string;
  readonly code: string;
}

function examples(): Example[] {
  return sections().flatMap(([section, text]) =>
    [...text.matchAll(/^<!-- runs: (\w+) -->\n```ts\n([\s\S]*?)^```$/gm)].map(([, name = "", code = ""]) => ({
      name,
      section,
      code,
    })),
  );
}

/** Title and text of each section of the second level. */
function sections(): [title: string, text: string][] {
  return page
    .split(/^## /m)
    .slice(1)
    .map((text) => [text.slice(0, text.indexOf("\n")), text]);
}

describe("an example of docs/connections.md", { skip: skipReason() }, () => {
  let folder: string;
  before(() => {
    // Inside the repository, so that `mitogen` is found.
    mkdirSync(join(repoRoot, "build"), { recursive: true });
    folder = mkdtempSync(join(repoRoot, "build", "connections-"));
    for (const [, code = "", file = ""] of page.matchAll(/^```ts\n(\/\/ ([\w-]+\.ts)\n[\s\S]*?)^```$/gm)) {
      writeFileSync(join(folder, file), code);
    }
  });
  after(() => rmSync(folder, { recursive: true }));

  for (const { name, code } of examples()) {
    it(`prints what it says: ${name}`, { timeout: 120_000 }, async () => {
      const values =
        replacements[name] ?? assert.fail(`the test does not say what stands for the names in ${name}`);
      const real = withLabValues(code, values());
      const file = join(folder, `${name}.ts`);
      writeFileSync(file, `${PROLOGUE}\n${real}\nawait router.shutdown();\n`);
      const program = await runProgram(file, { nodeArgs: ["--import", "tsx"] }).ended;
      assert.equal(program.code, 0, program.stderr);
      const promised = [...real.matchAll(/\/\/ prints (.+)$/gm)].map(([, text]) => text);
      assert.ok(promised.length > 0, "it promises nothing");
      assert.deepEqual(program.stdout.trimEnd().split("\n"), promised);
    });
  }
});

function withLabValues(code: string, values: Record<string, string>): string {
  return Object.entries(values).reduce((text, [shown, real]) => {
    assert.ok(text.includes(shown), `the example has no ${shown}`);
    return text.replaceAll(shown, () => real);
  }, code);
}

/** The methods of routers that start a context, and the names of the types of their options. */
function routerMethods(): [method: string, options: string][] {
  const source = readFileSync(join(repoRoot, "src/connection/connecting-router.ts"), "utf8");
  return [
    ...source.matchAll(/^ {2}(\w+)(?:<[^(]*>)?\((?:.*, )?options: (\w+).*\): Promise<Context> \{$/gm),
  ].map(([, method = "", options = ""]) => [method, options]);
}

/** The interfaces of src/connection: what they extend, and the names of their members. */
function optionInterfaces(): Map<string, { bases: string; own: string[] }> {
  const folder = join(repoRoot, "src/connection");
  const found = new Map<string, { bases: string; own: string[] }>();
  const files = readdirSync(folder, { recursive: true, encoding: "utf8" });
  for (const file of files.filter((name) => name.endsWith(".ts"))) {
    const source = readFileSync(join(folder, file), "utf8");
    for (const match of source.matchAll(/^export interface (\w+)(?: extends (.+))? \{\n([\s\S]*?)^\}/gm)) {
      const [, name = "", bases = "", body = ""] = match;
      // Leaves out deprecated names, which stand beside the new ones.
      const current = body.replace(/@deprecated[^\n]*\n {3}\*\/\n {2}readonly \w+/g, "");
      const own = [...current.matchAll(/^ {2}readonly (\w+)\??:/gm)].map(([, option = ""]) => option);
      found.set(name, { bases, own });
    }
  }
  return found;
}

/** Own and inherited options of an interface, without those of every method. */
function optionsOf(name: string, interfaces = optionInterfaces()): string[] {
  const { bases, own } = interfaces.get(name) ?? { bases: "", own: [] };
  const inherited = [...bases.matchAll(/Omit<(\w+), "(\w+)">|(\w+)/g)].flatMap(([, from, without, base]) => {
    if (base === "ConnectOptions") return [];
    return optionsOf(from ?? (base as string), interfaces).filter((option) => option !== without);
  });
  return [...own, ...inherited];
}

function tableOf(title: string): string[] {
  const [, text] = sections().find(([each]) => each === title) ?? assert.fail(`there is no section ${title}`);
  const [, rows = ""] = /^\| option \|.*\n\|[-|]+\n((?:\|.*\n)+)/m.exec(text) ?? [];
  return [...rows.matchAll(/^\| `(\w+)` \|/gm)].map(([, option = ""]) => option);
}

test("docs/connections.md has a section for every method, with every option", () => {
  const found = routerMethods();
  assert.ok(found.length > 15, `only ${found.length} methods were found`);
  assert.deepEqual(tableOf("Options of every method").sort(), optionsOf("ConnectOptions").sort());
  for (const [method, options] of found) {
    const known = options === "ThreadOptions" || options === "LocalOptions" ? [] : optionsOf(options);
    assert.deepEqual(tableOf(method).sort(), known.sort(), method);
  }
});

test("docs/connections.md has an example that is run for every method the lab has", () => {
  const run = examples().map(({ section }) => section);
  const names = routerMethods().map(([method]) => method);
  assert.deepEqual(names.filter((name) => !run.includes(name)).sort(), NOT_RUN);
  assert.equal(run.length, page.split("<!-- runs: ").length - 1, "a mark stands in front of nothing");
});
