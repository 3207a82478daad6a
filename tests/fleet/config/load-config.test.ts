import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import {
  chmodSync,
  chownSync,
  lchownSync,
  mkdirSync,
  readdirSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { pathToFileURL } from "node:url";
import { findConfig } from "../../../src/fleet/config/load-config.ts";
import { Inventory, InventoryError } from "../../../src/fleet/index.ts";
import { nodes, repoRoot, skipReason } from "../../support/lab.ts";
import { checkLeaks } from "../../support/leak-check.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";

// esbuild's service stays for the life of the program.
checkLeaks({ ignoreCommand: /esbuild/ });

type Test = Parameters<typeof temporaryFolder>[0];

/** A folder with these files, which is the working directory until the test has ended. */
function folderWith(t: Test, files: Readonly<Record<string, string>>): string {
  const folder = temporaryFolder(t);
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(join(folder, name, ".."), { recursive: true });
    writeFileSync(join(folder, name), text);
  }
  const before = process.cwd();
  process.chdir(folder);
  t.after(() => process.chdir(before));
  return folder;
}

const ESM = `export default { hosts: { a: { local: {} } }, groups: { g: () => "a" } };`;
const FORMS: Readonly<Record<string, string>> = {
  "mitogen.config.ts": `import { defineConfig } from "mitogen/fleet";
import { hosts } from "./hosts.ts";
enum Group { G = "g" } // which Node itself would not remove
export default defineConfig({ hosts, groups: { [Group.G]: () => "a" } } as const);`,
  "mitogen.config.mts": `import type { InventoryConfig } from "mitogen/fleet";
export default async (): Promise<InventoryConfig> => ({ hosts: { a: { local: {} } }, groups: { g: ["a"] } });`,
  "mitogen.config.js": "module.exports = { hosts: { a: { local: {} } }, groups: { g: 'a' } };",
  "mitogen.config.mjs": ESM,
  "mitogen.config.cjs": "module.exports = async () => ({ hosts: { a: { local: {} } }, groups: { g: 'a' } });",
  "mitogen.config.json": `\uFEFF{ "hosts": { "a": { "local": {} } }, "groups": { "g": "a" } }`,
};

for (const [name, text] of Object.entries(FORMS)) {
  test(`Inventory.load finds and loads ${name}`, async (t) => {
    const folder = folderWith(t, {
      [name]: text,
      "hosts.ts": "export const hosts = { a: { local: {} } } as const;",
      "deeper/and/deeper": "",
    });
    process.chdir("deeper/and");
    const found = await Inventory.load();
    assert.deepEqual([found.hostNames(), found.groupNames()], [["a"], ["g"]]);
    assert.equal((await found.select("@g"))[0]?.name, "a");
    assert.deepEqual((await Inventory.load(`../../${name}`)).hostNames(), ["a"]);
    assert.deepEqual(
      readdirSync(folder).filter((each) => each.startsWith("mitogen-config")),
      [],
    );
  });
}

test("Inventory.load imports a config in TypeScript as a module of its folder", async (t) => {
  const folder = folderWith(t, {
    "mitogen.config.ts": `import one from "one";
import { basename } from "path";
import { Inventory } from "mitogen/fleet";
import { part } from "./lib/part.ts";
export default { vars: { one, url: import.meta.url, folder: import.meta.dirname, name: basename("/x/y"), part,
  isSame: Inventory === globalThis.__inventory }, hosts: { a: { local: {} } } };`,
    "lib/part.ts": `import data from "./data.json" with { type: "json" };
export const part: unknown = [import.meta.url, import.meta.filename, data];`,
    "lib/data.json": "[1]",
    "node_modules/one/package.json": `{ "name": "one", "exports": "./one.mjs" }`,
    "node_modules/one/one.mjs": "export default 1;",
  });
  const shared = globalThis as { __inventory?: unknown };
  shared.__inventory = Inventory;
  t.after(() => delete shared.__inventory);
  const [host] = await (await Inventory.load()).select("a");
  const part = join(folder, "lib/part.ts");
  assert.deepEqual(host?.vars, {
    one: 1,
    url: pathToFileURL(join(folder, "mitogen.config.ts")).href,
    folder,
    name: "y",
    part: [pathToFileURL(part).href, part, [1]],
    isSame: true,
  });
});

test("Inventory.load makes an empty inventory if there is no config", async (t) => {
  folderWith(t, {});
  const found = await Inventory.load();
  assert.deepEqual([found.hostNames(), found.groupNames()], [[], []]);
  assert.equal((await found.select("local:2")).length, 2);
  await assert.rejects(found.select("@web"), {
    message: `Cannot select "@web": the inventory (no mitogen.config file was found in ${process.cwd()} or above) has no such group; it has no groups`,
  });
});

const BROKEN: Readonly<Record<string, readonly [text: string, message: RegExp]>> = {
  "mitogen.config.ts": [
    "export default {\n  hosts: {\n};",
    /^Cannot load "mitogen\.config\.ts": mitogen\.config\.ts:3:2: Expected "}" but found ";"$/,
  ],
  "a.ts": ["throw new Error('no\\n\\u001b[2Jluck');", /^Cannot load "a\.ts": no\n?.*luck/s],
  "b.mjs": ["export const hosts = {};", /^Cannot load "b\.mjs": it has no default export; write /],
  "c.json": ["{", /^Cannot load "c\.json": .*JSON/],
  "d.mjs": ["export default () => { throw new Error('why not'); };", /^Cannot load "d\.mjs": why not$/],
  "e.yaml": ["", /^Cannot load "e\.yaml": the name of a config must end in \.ts, \.mts/],
  "f.ts": [
    "import 'not-there'; export default {};",
    /^Cannot load "f\.ts": f\.ts:1:8: Cannot find package 'not-there'/,
  ],
  "g.mjs": [
    "export default { hosts: { web1: { shh: {} } } };",
    /^Cannot read "g\.mjs": host "web1": there is no method "shh"; did you mean "ssh"\?$/,
  ],
  "h.json": ["[]", /^Cannot read "h\.json": a config must be an object/],
};

test("Inventory.load says what is wrong with a config, and in which file", async (t) => {
  folderWith(t, Object.fromEntries(Object.entries(BROKEN).map(([name, [text]]) => [name, text])));
  const refused = (path: string, message: RegExp): Promise<void> =>
    assert.rejects(Inventory.load(path), (error: Error) => {
      assert.ok(error instanceof InventoryError, String(error));
      assert.match(error.message, message);
      return true;
    });
  for (const [name, [, message]] of Object.entries(BROKEN)) await refused(name, message);
  await refused("none.ts", /^Cannot load "none\.ts": there is no such file$/);
  await refused("/tmp", /it is not a file$/);
});

test("Inventory.load ends when its signal aborts", async (t) => {
  folderWith(t, { "mitogen.config.mjs": "export default () => new Promise(() => {});" });
  const controller = new AbortController();
  const pending = Inventory.load(undefined, { signal: controller.signal });
  const reason = new Error("enough");
  setImmediate(() => controller.abort(reason));
  await assert.rejects(pending, reason);
  await assert.rejects(Inventory.load(undefined, { signal: controller.signal }), reason);
});

test("Inventory.load does not run a config that another user has left above", {
  skip: skipReason(),
}, async (t) => {
  const folder = folderWith(t, { "mitogen.config.mjs": ESM, "mine/file": "" });
  chownSync(join(folder, "mitogen.config.mjs"), 65534, 65534);
  process.chdir("mine");
  await assert.rejects(Inventory.load(), {
    code: "ERR_INVENTORY",
    message: /belongs to another user \(uid 65534\), and would run as you; name it with --inventory/,
  });
  assert.deepEqual((await Inventory.load("../mitogen.config.mjs")).hostNames(), ["a"]);
  // The other user could let a link lead elsewhere once its target has been checked.
  chownSync(join(folder, "mitogen.config.mjs"), 0, 0);
  symlinkSync("mitogen.config.mjs", join(folder, "mitogen.config.ts"));
  assert.equal(findConfig("."), join(folder, "mitogen.config.ts"));
  lchownSync(join(folder, "mitogen.config.ts"), 65534, 65534);
  await assert.rejects(Inventory.load(), { message: /mitogen\.config\.ts": it belongs to another user/ });
});

test("findConfig passes folders that are closed, and names a link that leads nowhere", {
  skip: skipReason(),
}, (t) => {
  const folder = folderWith(t, { "closed/open/file": "" });
  const at = join(folder, "closed/open");
  chmodSync(join(folder, "closed"), 0o700);
  process.seteuid?.(65534);
  try {
    assert.equal(findConfig(at), undefined);
  } finally {
    process.seteuid?.(0);
  }
  symlinkSync("mitogen.config.ts", join(at, "mitogen.config.ts"));
  assert.throws(() => findConfig(at), { code: "ERR_INVENTORY", message: /^Cannot load ".*": ELOOP/ });
});

test("Inventory.load loads TypeScript on every Node, and with tsx", { skip: skipReason() }, (t) => {
  const folder = folderWith(t, {
    "mitogen.config.ts": FORMS["mitogen.config.ts"] as string,
    "hosts.ts": "export const hosts = { a: { local: {} } } as const;",
  });
  const program = `const { Inventory } = await import(${JSON.stringify(pathToFileURL(join(repoRoot, "dist/fleet.js")).href)});
console.log((await (await Inventory.load()).select("@g"))[0].name);`;
  const tsx = pathToFileURL(join(repoRoot, "node_modules/tsx/dist/loader.mjs")).href;
  const run = (node: string, ...args: string[]): string => {
    const { stdout, stderr } = spawnSync(node, [...args, "--input-type=module", "-e", program], {
      cwd: folder,
      encoding: "utf8",
    });
    return stdout + stderr;
  };
  for (const major of ["20", "22", "24", "26"]) assert.equal(run(nodes[major] as string), "a\n", major);
  assert.equal(run(process.execPath, "--import", tsx), "a\n");
});
