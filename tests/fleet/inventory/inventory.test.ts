import assert from "node:assert/strict";
import { test } from "node:test";
import { defineConfig, type Host, Inventory, InventoryError } from "../../../src/fleet/index.ts";
import { takesLong } from "../../support/extent.ts";
import { checkLeaks } from "../../support/leak-check.ts";

checkLeaks();

const names = (hosts: readonly Host[]): string => hosts.map(({ name }) => name).join(" ");

/** A fleet with every form of host and group. */
function inventory(): Inventory {
  return Inventory.from({
    hosts: {
      web1: { ssh: {} },
      web2: { ssh: { hostname: "10.0.0.2" } },
      web10: [{ ssh: { username: "ada" } }, { sudo: {} }],
      db1: { connect: { ssh: { port: 2222 } }, vars: { role: "primary", port: 1 }, groups: ["db"] },
      db2: { connect: [{ ssh: {} }, { docker: { container: "pg" } }], groups: ["db", "spare"] },
      "edge-a": { ssh: {} },
    },
    groups: {
      web: "web*",
      odd: ["web1", "db1"],
      both: { hosts: ["@web", "@db"], vars: { port: 80, from: "both" } },
      db: { hosts: [], vars: { port: 5432 } },
    },
    vars: { site: "here", port: 0 },
    defaults: { ssh: { username: "deploy", checkHostKeys: "accept" } },
  });
}

async function refused(
  pattern: string | string[],
  message: string | RegExp,
  of = inventory(),
): Promise<void> {
  await assert.rejects(of.select(pattern), (error: Error) => {
    assert.ok(error instanceof InventoryError, String(error));
    assert.deepEqual([error.name, error.code], ["InventoryError", "ERR_INVENTORY"]);
    if (typeof message === "string") assert.equal(error.message, message);
    else assert.match(error.message, message);
    return true;
  });
}

test("Inventory.select understands names, globs, ranges, groups, exclusions and intersections", async () => {
  const cases: [string | string[], string][] = [
    ["web1", "web1"],
    ["db1,web1", "db1 web1"],
    [["db1", " web1 , db1 "], "db1 web1"],
    ["*", "web1 web2 web10 db1 db2 edge-a"],
    ["@all", "web1 web2 web10 db1 db2 edge-a"],
    ["web?", "web1 web2"],
    ["{web,db}1", "web1 db1"],
    ["web[1-9]", "web1 web2"],
    ["web[1-10]", "web1 web2 web10"],
    ["web[1-10],!web[2-9]", "web1 web10"],
    ["[wd]*1", "web1 db1"],
    ["edge-[a-c]", "edge-a"],
    ["@web", "web1 web2 web10"],
    ["@web,!web2", "web1 web10"],
    ["!web2,@web", "web1 web10"],
    ["@db", "db1 db2"],
    ["@both", "web1 web2 web10 db1 db2"],
    ["@w*", "web1 web2 web10"],
    ["@both,&@odd", "web1 db1"],
    ["@both,&@odd,!db*", "web1"],
    ["!@both", "edge-a"],
    ["&@db", "db1 db2"],
    ["@both,!@spare,!zzz*", "web1 web2 web10 db1"],
  ];
  const all = inventory();
  for (const [pattern, wanted] of cases)
    assert.equal(names(await all.select(pattern)), wanted, String(pattern));
});

test("Inventory.select keeps the zeros of a range", async () => {
  const all = Inventory.from({
    hosts: Object.fromEntries(["db01", "db9", "db09", "db10"].map((n) => [n, { local: {} }])),
  });
  assert.equal(names(await all.select("db[01-20]")), "db01 db09 db10");
  assert.equal(names(await all.select("db[1-20]")), "db9 db10");
});

test("Inventory.select returns steps with defaults, groups, and variables of which the innermost win", async () => {
  const [db1, db2, web10, web2] = await inventory().select("db1,db2,web10,web2");
  assert.deepEqual(db1, {
    name: "db1",
    groups: ["odd", "both", "db"],
    vars: { site: "here", port: 1, from: "both", role: "primary" },
    steps: [{ ssh: { hostname: "db1", username: "deploy", checkHostKeys: "accept", port: 2222 } }],
  });
  assert.deepEqual(db2?.vars, { site: "here", port: 5432, from: "both" });
  assert.deepEqual(db2?.groups, ["both", "db", "spare"]);
  assert.deepEqual(db2?.steps[1], { docker: { container: "pg" } });
  assert.deepEqual(web10?.steps, [
    { ssh: { hostname: "web10", username: "ada", checkHostKeys: "accept" } },
    { sudo: {} },
  ]);
  assert.deepEqual((web2 as Host).steps, [
    { ssh: { hostname: "10.0.0.2", username: "deploy", checkHostKeys: "accept" } },
  ]);
});

test("Inventory.select takes addresses that the inventory does not have", async () => {
  const none = Inventory.from({});
  const cases: [string, object][] = [
    ["web1", { ssh: { hostname: "web1" } }],
    ["ada@web1.example.com:2222", { ssh: { hostname: "web1.example.com", username: "ada", port: 2222 } }],
    ["root@[::1]:22", { ssh: { hostname: "::1", username: "root", port: 22 } }],
    ["fe80::1", { ssh: { hostname: "fe80::1" } }],
    ["ada@realm@host", { ssh: { hostname: "host", username: "ada@realm" } }],
    ["local", { local: {} }],
  ];
  for (const [name, step] of cases)
    assert.deepEqual(await none.select(name), [{ name, groups: [], vars: {}, steps: [step] }]);
  assert.equal(names(await none.select("node[08-10],!node09")), "node08 node10");
  assert.equal(names(await inventory().select("stranger,web1")), "stranger web1");
  for (const bad of ["-oProxyCommand=x", "a b", "a;b", "$(id)", "a\u202eb", "web1:99999"]) {
    await refused(bad, /^Cannot select /, none);
  }
});

test("Inventory.select makes N hosts on this machine for local:N", async () => {
  const hosts = await Inventory.from({}).select("local:3,!local2");
  assert.deepEqual(
    hosts.map(({ name, steps }) => [name, steps]),
    [
      ["local1", [{ local: {} }]],
      ["local3", [{ local: {} }]],
    ],
  );
  const named = Inventory.from({ hosts: { local1: { ssh: {} } } });
  assert.equal(names(await named.select("local1,local:2")), "local1 local:local1 local2");
  for (const bad of ["local:0", "local:1001", "local:x", "local:"]) {
    await refused(bad, `Cannot select "${bad}": write local: and a number from 1 to 1000, such as local:3`);
  }
});

test("Inventory.select names what it does not know, and the nearest name", async () => {
  await refused(
    "wbe1",
    'Cannot select "wbe1": the inventory has no such host; did you mean "web1"? For a host that is not in the inventory, write "ssh:wbe1".',
  );
  await refused("web", /did you mean "@web"\?/);
  await refused("all", /did you mean "@all"\?/);
  await refused("@wbe", 'Cannot select "@wbe": the inventory has no such group; did you mean "web"?');
  await refused("@edge-a", /; "edge-a" is a host$/);
  await refused("@nothing", /; its groups are web, odd, both, db, spare, all$/);
  await refused("@web,!web33", /Cannot select "web33": the inventory has no such host/);
  await refused("zz*", 'Cannot select "zz*": the inventory has no host that matches');
  await refused("web1,!web1", 'Cannot select "web1,!web1": no host is left');
  await refused("", 'Cannot select "": it names no host');
  await refused([], 'Cannot select "": it names no host');
  await refused("@", 'Cannot select "@": it names nothing');
  await refused("web[9-1]", 'Cannot select "web[9-1]": the range [9-1] runs backwards');
  await refused("web[1-100]x[1-1000]", /its ranges stand for more than 10000 names$/);
  await refused("w".repeat(70_000), /more than 65536 characters$/);
  await refused("\u001b[2J", /^Cannot select "\\u001b\[2J"/);
});

test("Inventory evaluates only the groups that a pattern uses, each once", async () => {
  const calls: string[] = [];
  const group =
    (name: string, members: string | string[]): (() => Promise<string | string[]>) =>
    async () => {
      calls.push(name);
      return members;
    };
  const all = Inventory.from({
    hosts: { a: { local: {} }, b: { local: {} } },
    groups: {
      used: group("used", ["a", "new.example.com"]),
      nested: ["@used", "b"],
      broken: () => {
        calls.push("broken");
        throw new Error("no network");
      },
      wrong: (() => 3) as never,
      later: group("later", "@nested,!a"),
    },
  });
  assert.deepEqual(
    [all.groupNames(), all.hostNames(), calls],
    [["used", "nested", "broken", "wrong", "later"], ["a", "b"], []],
  );
  const [first, second] = await Promise.all([all.select("@nested"), all.select("@used,@later")]);
  assert.equal(names(first), "a new.example.com b");
  assert.deepEqual((first[1] as Host).steps, [{ ssh: { hostname: "new.example.com" } }]);
  assert.equal(names(second), "a new.example.com b");
  assert.deepEqual(first[0]?.groups, ["used", "nested"]);
  assert.equal(names(await all.select("a")), "a");
  assert.deepEqual(calls.sort(), ["later", "used"]);
  await refused("@broken", 'Cannot read the inventory: group "broken": its function failed: no network', all);
  await refused("@broken", /no network/, all);
  assert.equal(calls.filter((each) => each === "broken").length, 1);
  await refused("@wrong", /group "wrong": its hosts must be a pattern, a list or a function, got 3$/, all);
});

test("Inventory takes hosts from lists and functions of groups", async () => {
  const all = Inventory.from({
    groups: {
      listed: [{ name: "one", ssh: { port: 23 } }, "two@host"].slice(0, 1),
      made: () => [{ name: "cloud1", connect: [{ ssh: {} }, { sudo: {} }], vars: { size: "L" } }],
    },
    defaults: { ssh: { username: "deploy" } },
  });
  assert.deepEqual(all.hostNames(), ["one"]);
  const hosts = await all.select("one,@made");
  assert.deepEqual(hosts, [
    {
      name: "one",
      groups: ["listed"],
      vars: {},
      steps: [{ ssh: { hostname: "one", username: "deploy", port: 23 } }],
    },
    {
      name: "cloud1",
      groups: ["made"],
      vars: { size: "L" },
      steps: [{ ssh: { hostname: "cloud1", username: "deploy" } }, { sudo: {} }],
    },
  ]);
});

test("Inventory refuses groups that hold each other", async () => {
  const circle = { a: "@b", b: ["@c"], c: { hosts: "@a" } };
  const message = "Cannot read the inventory: groups hold each other in a circle: @a → @b → @c → @a";
  assert.throws(() => Inventory.from({ groups: circle }), { code: "ERR_INVENTORY", message });
  const made = Inventory.from({ groups: { a: () => "@b", b: async () => "@a", c: () => "local:1" } });
  await refused("@a", "Cannot read the inventory: groups hold each other in a circle: @a → @b → @a", made);
  await Promise.all([refused("@a", /circle/, made), refused("@b", /circle/, made)]);
  // Two groups of each layer hold both of the next: there are more ways from top to bottom than can be walked.
  const layers = Array.from({ length: 60 }, (_, i) => [`a${i}`, `b${i}`] as const);
  const groups = layers.flatMap((pair, i) => {
    const below = layers[i + 1]?.map((name) => `@${name}`) ?? ["one"];
    return pair.map((name) => [name, { hosts: below, vars: { layer: i } }] as const);
  });
  const layered = Inventory.from({ hosts: { one: { local: {} } }, groups: Object.fromEntries(groups) });
  assert.equal((await layered.select("@a0"))[0]?.vars["layer"], 59);
  assert.equal(names(await made.select("@c")), "local1");
});

test("Inventory.select ends when its signal aborts, and the next select calls the function again", async () => {
  let calls = 0;
  const all = Inventory.from({
    groups: { slow: () => (++calls === 1 ? new Promise<string>(() => {}) : "local:1") },
  });
  const controller = new AbortController();
  const pending = all.select("@slow", { signal: controller.signal });
  const reason = new Error("enough");
  controller.abort(reason);
  await assert.rejects(pending, reason);
  await assert.rejects(all.select("@slow", { signal: controller.signal }), reason);
  assert.equal(names(await all.select("@slow")), "local1");
  assert.equal(calls, 2);
});

test("Inventory.from takes lists of hosts, even from another inventory", async () => {
  const some = await inventory().select("db1,web2");
  const all = Inventory.from([
    ...some,
    "ada@other:22",
    { name: "box", local: {} },
    { name: "x", connect: { local: {} }, groups: ["g"] },
  ]);
  assert.equal(names(await all.select("*")), "db1 web2 ada@other:22 box x");
  assert.deepEqual((await all.select("db1"))[0], { ...some[0], groups: ["odd", "both", "db"] });
  assert.equal(names(await all.select("@odd")), "db1");
  assert.equal(names(await all.select("@g")), "x");
  assert.throws(() => Inventory.from(["a", "a"]), {
    message: 'Cannot make an inventory: two hosts have the name "a"',
  });
  assert.throws(
    () => Inventory.from([3 as never]),
    /a host must be an address, or an object with a name, got 3/,
  );
});

test("Inventory refuses an invalid config, and says where it is wrong", () => {
  const cases: [object | number, string][] = [
    [3, "a config must be an object with hosts, groups, vars, defaults, got 3"],
    [{ host: {} }, 'has no "host"; did you mean "hosts"?'],
    [{ hosts: [] }, "hosts must be an object, got an array"],
    [{ hosts: { web1: 3 } }, 'host "web1": a step must be an object such as { ssh: { … } }, got 3'],
    [{ hosts: { web1: {} } }, 'host "web1": a step must have exactly one method, and has none'],
    [{ hosts: { web1: { shh: {} } } }, 'host "web1": there is no method "shh"; did you mean "ssh"?'],
    [
      { hosts: { web1: { ssh: {}, sudo: {} } } },
      "must have exactly one method, and has ssh, sudo; write a list of steps",
    ],
    [
      { hosts: { web1: [{ ssh: {} }, { sudo: { usrname: "x" } }] } },
      'host "web1", step 2: sudo has no option "usrname"; did you mean "username"?',
    ],
    [
      { hosts: { web1: { ssh: { port: 0 } } } },
      'host "web1": port must be an integer from 1 to 65535, got 0',
    ],
    [{ hosts: { web1: { ssh: { port: 0 } } } }, 'host "web1": port must be an integer'],
    [
      { hosts: { web1: { ssh: { via: {} } } } },
      'has no option "via" in an inventory: the step before leads to the next',
    ],
    [{ hosts: { web1: { docker: "x" } } }, 'host "web1": '],
    [{ hosts: { web1: { kubectl: {} } } }, 'host "web1": pod must be'],
    [{ hosts: { web1: [] } }, "it needs 1 to 16 steps that reach it, and has 0"],
    [{ hosts: { "web 1": { ssh: {} } } }, '"web 1" cannot be the name of a host: it has a character'],
    [{ hosts: { "a&b": { ssh: {} } } }, '"a&b" cannot be the name of a host: it has a character that'],
    [{ hosts: { "~a": { ssh: {} } } }, '"~a" cannot be the name of a host: it begins with "~"'],
    [{ hosts: { "@web": { ssh: {} } } }, '"@web" cannot be the name of a host: it begins with "@"'],
    [
      { hosts: { web1: { connect: { ssh: {} }, var: {} } } },
      'host "web1" has no "var"; did you mean "vars"?',
    ],
    [{ hosts: { web1: { connect: { ssh: {} }, groups: "web" } } }, "groups must be a list of names"],
    [{ groups: { all: "x" } }, 'group "all": the name "all" already means every host'],
    [{ groups: { web: 3 } }, 'group "web": its hosts must be a pattern'],
    [{ groups: { web: { host: "x" } } }, 'group "web" has no "host"; did you mean "hosts"?'],
    [
      { hosts: { web1: { ssh: {} } }, groups: { web: "wbe1" } },
      'group "web": there is no host "wbe1"; did you mean "web1"?',
    ],
    [{ groups: { web: "@wbe" } }, 'group "web": there is no group "@wbe"; did you mean "web"?'],
    [
      { groups: { web: "elsewhere" } },
      'there is no host "elsewhere"; for one that is not listed, write "ssh:elsewhere"',
    ],
    [{ groups: { web: "db", db: [] } }, 'there is no host "db"; write "@db" for the group'],
    [{ defaults: { ssh: { user: "x" } } }, 'defaults.ssh has no option "user"; it has hostname'],
    [{ defaults: { shh: {} } }, 'defaults: there is no method "shh"; did you mean "ssh"?'],
    [{ defaults: { ssh: { port: "22" } } }, 'defaults: port must be an integer from 1 to 65535, got "22"'],
    [{ vars: [] }, "vars must be an object of values by name, got an array"],
  ];
  for (const [config, message] of cases) {
    assert.throws(
      () => Inventory.from(config as never),
      (error: Error) => {
        assert.ok(error instanceof InventoryError, `${JSON.stringify(config)}: ${error.stack}`);
        assert.ok(error.message.startsWith("Cannot read the inventory"), error.message);
        assert.ok(error.message.includes(message), `${error.message}\nlacks ${message}`);
        return true;
      },
    );
  }
});

test("Inventory never shows a password in an error", () => {
  const config = { hosts: { web1: { ssh: { password: "hunter2\n" } } } };
  assert.throws(
    () => Inventory.from(config),
    (error: Error) => !`${error.message}${error.stack}`.includes("hunter2"),
  );
});

test("Inventory treats names of Object.prototype like all others", async () => {
  const config = JSON.parse(
    '{"hosts":{"__proto__":{"local":{}},"constructor":{"local":{}}},"groups":{"toString":"constructor"},"vars":{"__proto__":{"x":1}}}',
  ) as object;
  const all = Inventory.from(config);
  const hosts = await all.select("__proto__,@toString");
  assert.equal(names(hosts), "__proto__ constructor");
  assert.equal((hosts[0] as Host).vars["x"], undefined);
  await refused("@valueOf", /no such group/, all);
});

test("Inventory selects from 20,000 hosts in 300 groups", { skip: takesLong }, async () => {
  const hosts = Object.fromEntries(Array.from({ length: 20_000 }, (_, i) => [`h${i}`, { local: {} }]));
  const groups = Object.fromEntries(Array.from({ length: 300 }, (_, i) => [`g${i}`, `h${i}*`]));
  const all = Inventory.from({ hosts, groups });
  assert.equal((await all.select("*,!@g1")).length, 20_000 - 11_111);
});

test("defineConfig takes what an inventory holds, and nothing else", () => {
  const config = defineConfig({
    hosts: {
      web1: { ssh: { username: "ada" } },
      web2: [{ ssh: { hostname: "10.0.0.2" } }, { sudo: {} }, { docker: { container: "app" } }],
      db1: { connect: { local: {} }, vars: { port: 1 }, groups: ["db"] },
    },
    groups: { web: "web*", cloud: async () => ["a", { name: "b", ssh: {} }], db: { hosts: [], vars: {} } },
    defaults: { ssh: { port: 2222 } },
  });
  assert.deepEqual(Inventory.from(config).groupNames(), ["web", "cloud", "db"]);
  defineConfig(() => ({ hosts: { a: { local: {} } } }));
  defineConfig(async () => ({ hosts: { a: { local: {} } } }));
  // @ts-expect-error: no such method
  defineConfig({ hosts: { web1: { shh: {} } } });
  // @ts-expect-error: no such option
  defineConfig({ hosts: { web1: { ssh: { usrname: "ada" } } } });
  // @ts-expect-error: an option of the wrong type
  defineConfig({ hosts: { web1: { ssh: { port: "22" } } } });
  // @ts-expect-error: two methods in one step
  defineConfig({ hosts: { web1: { ssh: {}, sudo: {} } } });
  // @ts-expect-error: `via` is the step before
  defineConfig({ hosts: { web1: { ssh: { via: undefined as never } } } });
  // @ts-expect-error: a pod is required
  defineConfig({ hosts: { web1: { kubectl: {} } } });
  // @ts-expect-error: no such key
  defineConfig({ host: {} });
  // @ts-expect-error: no such option, in a chain
  defineConfig({ hosts: { web1: { connect: [{ ssh: {} }, { sudo: { user: "x" } }] } } });
  // @ts-expect-error: no such default
  defineConfig({ defaults: { ssh: { user: "x" } } });
});

test("Inventory refuses an invalid path, pattern or option, and quotes it", async () => {
  const loose = Inventory as unknown as { load(...given: unknown[]): Promise<unknown> };
  await assert.rejects(loose.load(5), {
    name: "InventoryError",
    message: "Cannot load an inventory: the path must be a string, got 5",
  });
  await assert.rejects(loose.load(undefined, { inventorycommand: "x" }), {
    name: "TypeError",
    message: 'Cannot load an inventory: it has no option "inventorycommand"; it has signal, inventoryCommand',
  });
  for (const [pattern, shown] of [
    [5, "5"],
    [undefined, "undefined"],
    [["web1", 5], "an array"],
  ] as const) {
    await assert.rejects(inventory().select(pattern as never), {
      name: "InventoryError",
      message: `Cannot select hosts: the pattern must be a string or a list of strings, got ${shown}`,
    });
  }
  await assert.rejects(inventory().select("web1", { signal: 5 } as never), /signal must be an AbortSignal/);
});
