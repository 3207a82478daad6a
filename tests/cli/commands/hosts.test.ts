import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { needsLab } from "../../support/lab.ts";
import { checkLeaks } from "../../support/leak-check.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";
import { mitogen, mitogenHere } from "../run-cli.ts";
import { TerminalRun } from "../screen-of.ts";

checkLeaks();

const CONFIG = `export default {
  hosts: {
    web1: { ssh: { username: "ada", port: 2222, password: "hunter2" } },
    web2: [{ ssh: { hostname: "10.0.0.2" } }, { sudo: {} }, { docker: { container: "app" } }],
    db1: { connect: { local: {} }, vars: { big: 1n, note: "a\\u001b[2Jb" } },
  },
  groups: { web: { hosts: "web*", vars: { tier: "front" } }, bad: () => { throw new Error("no network"); }, db: "db1" },
};`;

test("mitogen hosts lists hosts, steps, groups and variables, and no secrets", async (t) => {
  const cwd = temporaryFolder(t);
  writeFileSync(join(cwd, "mitogen.config.mjs"), CONFIG);
  const all = await mitogen(["hosts"], { cwd });
  assert.deepEqual([all.code, all.stderr], [0, ""]);
  assert.equal(
    all.stdout,
    "web1  ssh ada@web1:2222  @web\\nweb2  ssh 10.0.0.2 > sudo > docker app  @web\\ndb1   local  @db\\n".replaceAll(
      "\\n",
      "\n",
    ),
  );
  const some = await mitogenHere(["hosts", "--on", "@web,!web2", "--vars", "--on", "db1"], { cwd });
  assert.equal(
    some.stdout,
    'web1  ssh ada@web1:2222  @web\n      tier = "front"\ndb1   local  @db\n      big = "[value]"\n      note = "a\\u001b[2Jb"\n',
  );
  const json = await mitogenHere(["hosts", "--on", "@web,local:1", "--json"], { cwd });
  assert.deepEqual(JSON.parse(json.stdout), {
    version: 1,
    hosts: [
      {
        name: "web1",
        groups: ["web"],
        vars: { tier: "front" },
        steps: [{ ssh: { hostname: "web1", username: "ada", port: 2222, password: "[secret]" } }],
      },
      {
        name: "web2",
        groups: ["web"],
        vars: { tier: "front" },
        steps: [{ ssh: { hostname: "10.0.0.2" } }, { sudo: {} }, { docker: { container: "app" } }],
      },
      { name: "local1", groups: [], vars: {}, steps: [{ local: {} }] },
    ],
    groups: ["web", "bad", "db"],
  });
});

test("mitogen watches a config with a thread only where nobody can press Ctrl-C", async (t) => {
  const cwd = temporaryFolder(t);
  const config = `import { Worker } from "node:worker_threads";
const { threadId } = new Worker("", { eval: true });
export default { hosts: { ["thread" + threadId]: { connect: { local: {} } } } };`;
  writeFileSync(join(cwd, "mitogen.config.mjs"), config);
  assert.equal((await mitogen(["hosts"], { cwd })).stdout, "thread2  local\n");
  if (needsLab(t) === undefined) return;
  const run = await TerminalRun.start(["hosts"], { cwd });
  try {
    assert.match((await run.ended()).shown, /^thread1 {2}local$/m);
  } finally {
    await run.close();
  }
});

test("mitogen hosts --groups shows each group, and which failed", async (t) => {
  const cwd = temporaryFolder(t);
  writeFileSync(join(cwd, "mitogen.config.mjs"), CONFIG);
  const all = await mitogenHere(["hosts", "--groups"], { cwd });
  assert.deepEqual([all.code, all.stdout], [0, "@web  web1 web2\n@db  db1\n"]);
  assert.match(all.stderr, /^@bad {2}Cannot read .*: group "bad": its function failed: no network\n$/);
  const some = await mitogenHere(["hosts", "--groups", "--on", "web2"], { cwd });
  assert.equal(some.stdout, "@web  web2\n");
});

test("mitogen hosts explains usage errors, and an inventory without hosts", async (t) => {
  const cwd = temporaryFolder(t);
  const none = await mitogenHere(["hosts"], { cwd });
  assert.deepEqual([none.code, none.stdout], [0, ""]);
  assert.match(none.stderr, /lists no hosts/);
  writeFileSync(join(cwd, "mitogen.config.json"), '{ "hosts": { "web1": { "ssh": {} } } }');
  const cases: [string[], RegExp][] = [
    [["web1"], /^mitogen: Write the hosts after --on: --on web1\n/],
    [["--on", "wbe1"], /^mitogen: Cannot select "wbe1": .* did you mean "web1"\?/],
    [["--on", "@nothing"], /no such group/],
    [["--inventory", "none.ts"], /^mitogen: Cannot load "none\.ts": there is no such file\n/],
    [["--inventory-command", "echo '['"], /did not print JSON/],
  ];
  for (const [words, message] of cases) {
    const ended = await mitogenHere(["hosts", ...words], { cwd });
    assert.deepEqual([ended.code, ended.stdout], [2, ""], words.join(" "));
    assert.match(ended.stderr, message);
  }
  const dynamic = await mitogenHere(
    ["hosts", "--inventory-command", `echo '{"web":["web1","web9"]}'`, "--on", "@web"],
    { cwd },
  );
  assert.equal(dynamic.stdout, "web1  ssh web1  @web\nweb9  ssh web9  @web\n");
});
