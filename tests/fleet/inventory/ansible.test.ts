import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { type Host, Inventory, InventoryError } from "../../../src/fleet/index.ts";
import type { Secret } from "../../../src/index.ts";
import { repoRoot } from "../../support/lab.ts";
import { checkLeaks } from "../../support/leak-check.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";

checkLeaks();

const names = (hosts: readonly Host[]): string => hosts.map(({ name }) => name).join(" ");

/** Makes inventories from the output of a command and a config. */
function printer(
  t: Parameters<typeof temporaryFolder>[0],
): (json: unknown, config?: object) => Promise<Inventory> {
  const folder = temporaryFolder(t);
  return async (json, config = {}) => {
    writeFileSync(join(folder, "hosts.json"), typeof json === "string" ? json : JSON.stringify(json));
    writeFileSync(join(folder, "config.json"), JSON.stringify(config));
    const inventoryCommand = `cat '${join(folder, "hosts.json")}'`;
    return await Inventory.load(join(folder, "config.json"), { inventoryCommand });
  };
}

test("Inventory.load takes the JSON of Ansible's dynamic inventories", async (t) => {
  const all = await printer(t)({
    all: { children: ["web", "db", "ungrouped"], vars: { site: "north", ansible_user: "deploy" } },
    web: { hosts: ["web1", "web2"], vars: { port: 80, tier: "web" } },
    front: { children: ["web"], vars: { tier: "front", zone: "a" } },
    db: ["db1"],
    _meta: { hostvars: { web2: { port: 81, ansible_host: "10.0.0.2", ansible_port: "2222" }, lone: {} } },
  });
  assert.equal(names(await all.select("*")), "web1 web2 db1 lone");
  assert.equal(names(await all.select("@front,!web1")), "web2");
  assert.deepEqual(all.groupNames(), ["web", "front", "db", "ungrouped"]);
  const [web2] = await all.select("web2");
  assert.deepEqual(web2, {
    name: "web2",
    groups: ["web", "front"],
    vars: {
      site: "north",
      ansible_user: "deploy",
      tier: "web",
      zone: "a",
      port: 81,
      ansible_host: "10.0.0.2",
      ansible_port: "2222",
    },
    steps: [{ ssh: { hostname: "10.0.0.2", username: "deploy", port: 2222 } }],
  });
});

/** Ansible's variables of a host named `h`, and the steps that they mean. */
const STEPS: readonly [vars: object, steps: object[]][] = [
  [{}, [{ ssh: { hostname: "h" } }]],
  [
    {
      ansible_ssh_host: "x",
      ansible_ssh_user: "u",
      ansible_ssh_port: 23,
      ansible_ssh_private_key_file: "/k",
      ansible_ssh_executable: "/usr/bin/ssh",
      ansible_host_key_checking: "no",
      ansible_ssh_common_args: `-o ProxyJump=a -o "User Agent=x y" -o 'a b'c\\ d`,
      ansible_ssh_extra_args: "-4",
    },
    [
      {
        ssh: {
          hostname: "x",
          username: "u",
          port: 23,
          identityFile: "/k",
          sshPath: "/usr/bin/ssh",
          checkHostKeys: "ignore",
          sshArgs: ["-o", "ProxyJump=a", "-o", "User Agent=x y", "-o", "a bc d", "-4"],
        },
      },
    ],
  ],
  [{ ansible_connection: "local" }, [{ local: {} }]],
  [{ ansible_connection: "community.docker.docker" }, [{ docker: { container: "h" } }]],
  [
    { ansible_connection: "containers.podman.podman", ansible_host: "box", ansible_user: "app" },
    [{ podman: { container: "box", username: "app" } }],
  ],
  [{ ansible_connection: "community.general.lxc" }, [{ lxc: { container: "h" } }]],
  [
    {
      ansible_connection: "kubernetes.core.kubectl",
      ansible_kubectl_namespace: "shop",
      ansible_kubectl_container: "c",
    },
    [{ kubectl: { pod: "h", container: "c", kubectlArgs: ["--namespace=shop"] } }],
  ],
  [{ ansible_become: "yes" }, [{ ssh: { hostname: "h" } }, { sudo: {} }]],
  [
    {
      ansible_become: true,
      ansible_become_user: "app",
      ansible_become_flags: "-H -i",
      ansible_become_exe: "/s",
    },
    [{ ssh: { hostname: "h" } }, { sudo: { username: "app", sudoPath: "/s", sudoArgs: ["-H", "-i"] } }],
  ],
  [
    { ansible_connection: "local", ansible_become: 1, ansible_become_method: "community.general.doas" },
    [{ local: {} }, { doas: {} }],
  ],
  [
    {
      ansible_connection: "local",
      ansible_become: true,
      ansible_become_method: "su",
      ansible_become_user: "app",
    },
    [{ local: {} }, { su: { username: "app" } }],
  ],
  [{ ansible_become: false, ansible_become_user: "app" }, [{ ssh: { hostname: "h" } }]],
];

test("Inventory.load understands Ansible's variables of connections", async (t) => {
  const printed = printer(t);
  for (const [vars, steps] of STEPS) {
    const all = await printed({ _meta: { hostvars: { h: vars } } });
    assert.deepEqual((await all.select("h"))[0]?.steps, steps, JSON.stringify(vars));
  }
});

test("Inventory.load puts passwords of Ansible's variables into the steps as secrets, and nowhere else", async (t) => {
  const vars = {
    ansible_password: "hunter2",
    ansible_become: true,
    ansible_become_pass: "hunter3",
    ansible_user: "u",
  };
  const all = await printer(t)({ all: { hosts: ["h"], vars } });
  const [host] = await all.select("h");
  const [login, become] = (host as Host).steps as unknown as [
    { ssh: { password: Secret } },
    { sudo: { password: Secret } },
  ];
  assert.deepEqual([login.ssh.password.reveal(), become.sudo.password.reveal()], ["hunter2", "hunter3"]);
  assert.deepEqual(host?.vars, { ansible_become: true, ansible_user: "u" });
  assert.ok(!JSON.stringify(host).includes("hunter"));
});

test("Inventory.load lets the config win over the inventory command", async (t) => {
  const all = await printer(t)(
    {
      web: { hosts: ["web1", "web2"], vars: { port: 80, from: "command" }, children: ["extra"] },
      extra: ["web3"],
      _meta: { hostvars: { web1: { ansible_host: "10.0.0.1", a: 1, b: 1 } } },
    },
    {
      hosts: { web1: { connect: { local: {} }, vars: { a: 2 } }, own: { local: {} } },
      groups: { web: { hosts: ["own"], vars: { from: "config" } } },
      defaults: { ssh: { username: "deploy" } },
    },
  );
  assert.equal(names(await all.select("@web")), "own web3 web1 web2");
  const [web1, web2] = await all.select("web1,web2");
  assert.deepEqual(web1?.steps, [{ local: {} }]);
  assert.deepEqual(web1?.vars, { port: 80, from: "config", ansible_host: "10.0.0.1", a: 2, b: 1 });
  assert.deepEqual(web2?.steps, [{ ssh: { hostname: "web2", username: "deploy" } }]);
});

test("Inventory.load refuses invalid output of an inventory command", async (t) => {
  const cases: [unknown, RegExp][] = [
    ["{", /: it did not print JSON: /],
    [[], /: it must print an object of groups, got an array$/],
    [{ web: 3 }, /: group "web" must be a list of hosts or an object, got 3$/],
    [{ web: { hosts: "web1" } }, /: group "web": hosts must be a list of names, got "web1"$/],
    [{ web: { hosts: [1] } }, /: group "web": hosts must be a list of names/],
    [{ web: { children: {} } }, /: group "web": children must be a list of names/],
    [{ web: { vars: [] } }, /: group "web": vars must be an object/],
    [{ _meta: { hostvars: [] } }, /: _meta\.hostvars must be an object, got an array$/],
    [{ _meta: { hostvars: { a: 1 } } }, /: the variables of "a" must be an object, got 1$/],
    [{ web: ["-oProxyCommand=x"] }, /: "-oProxyCommand=x" cannot be the name of a host: it begins with "-"$/],
    [{ "we b": [] }, /: "we b" cannot be the name of a group/],
    [{ a: { children: ["b"], hosts: ["h"] }, b: { children: ["a"] } }, /in a circle: "a" → "b" → "a"$/],
    [{ a: { children: ["b"] }, b: { children: ["a"] } }, /in a circle: @a → @b → @a$/],
    [
      { _meta: { hostvars: { h: { ansible_connection: "winrm" } } } },
      /: host "h": there is no method for ansible_connection "winrm"; known are ssh/,
    ],
    [
      { _meta: { hostvars: { h: { ansible_connection: "toString" } } } },
      /there is no method for ansible_connection/,
    ],
    [
      { _meta: { hostvars: { h: { ansible_host: "{{ ip }}" } } } },
      /: host "h": ansible_host is a template, which only Ansible can evaluate$/,
    ],
    [
      { _meta: { hostvars: { h: { ansible_password: { __ansible_vault: "x" } } } } },
      /encrypted with ansible-vault/,
    ],
    [
      { _meta: { hostvars: { h: { ansible_port: "ssh" } } } },
      /: host "h": ansible_port must be a number, got "ssh"$/,
    ],
    [
      { _meta: { hostvars: { h: { ansible_port: 0 } } } },
      /: host "h": port must be an integer from 1 to 65535, got 0$/,
    ],
    [{ _meta: { hostvars: { h: { ansible_host: "-x" } } } }, /: host "h": hostname must be a name/],
    [
      { _meta: { hostvars: { h: { ansible_become: true, ansible_become_method: "runas" } } } },
      /no method for ansible_become_method "runas"/,
    ],
    [
      { _meta: { hostvars: { h: { ansible_ssh_args: "-o 'x" } } } },
      /ansible_ssh_args has a quote that is not closed$/,
    ],
    [
      { _meta: { hostvars: { h: { ansible_become: "perhaps" } } } },
      /ansible_become must be true or false, got "perhaps"$/,
    ],
  ];
  const printed = printer(t);
  for (const [json, message] of cases) {
    await assert.rejects(printed(json), (error: Error) => {
      assert.ok(error instanceof InventoryError, String(error));
      assert.match(error.message, message, JSON.stringify(json));
      return true;
    });
  }
});

test("Inventory.load says how an inventory command failed, and kills one that hangs", async (t) => {
  const folder = temporaryFolder(t);
  writeFileSync(join(folder, "config.json"), "{}");
  const load = (inventoryCommand: string, signal?: AbortSignal): Promise<Inventory> =>
    Inventory.load(join(folder, "config.json"), { inventoryCommand, signal });
  await assert.rejects(load("echo no credentials >&2; exit 4"), {
    code: "ERR_INVENTORY",
    message: /^Cannot use the inventory command ".*": ".*" ended with exit code 4: no credentials$/,
  });
  const reason = new Error("enough");
  const controller = new AbortController();
  const pending = load("sleep 1000 & sleep 1000", controller.signal);
  setImmediate(() => controller.abort(reason));
  await assert.rejects(pending, reason);
});

test("Inventory.load takes what ansible-inventory prints", async (t) => {
  const hasAnsible = spawnSync("ansible-inventory", ["--version"]).status === 0;
  const folder = temporaryFolder(t);
  mkdirSync(join(folder, "host_vars"));
  writeFileSync(
    join(folder, "hosts.ini"),
    `lone ansible_connection=local
[web]
web[01:03] ansible_user=ada
[db]
db1 ansible_host=10.0.0.9 ansible_port=2222 ansible_become=yes ansible_become_user=postgres
[site:children]
web
db
[site:vars]
tier=site
[web:vars]
tier=web
`,
  );
  writeFileSync(join(folder, "config.json"), "{}");
  const all = await Inventory.load(join(folder, "config.json"), {
    // The fixture is the output of ansible-core 2.14, for machines without it.
    inventoryCommand: hasAnsible
      ? `ansible-inventory -i '${folder}/hosts.ini' --list`
      : `cat '${join(repoRoot, "tests/fixtures/fleet/ansible-inventory.json")}'`,
  });
  const site = (await all.select("@site")).map(({ name }) => name).sort();
  assert.deepEqual(site, ["db1", "web01", "web02", "web03"]);
  assert.equal(names(await all.select("@ungrouped")), "lone");
  const [db1, web02, lone] = await all.select("db1,web02,lone");
  assert.deepEqual(db1?.steps, [
    { ssh: { hostname: "10.0.0.9", port: 2222 } },
    { sudo: { username: "postgres" } },
  ]);
  assert.deepEqual([db1?.vars["tier"], web02?.vars["tier"]], ["site", "web"]);
  assert.deepEqual(web02?.steps, [{ ssh: { hostname: "web02", username: "ada" } }]);
  assert.deepEqual(lone?.steps, [{ local: {} }]);
});
