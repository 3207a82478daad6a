import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import fs, {
  chmodSync,
  chownSync,
  existsSync,
  lchownSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { syncBuiltinESMExports } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { CacheFolder } from "../../../src/loader/compile/cache-folder.ts";
import { isQuick } from "../../support/extent.ts";
import { setEnvironment } from "../../support/temporary-folder.ts";

const KEY = "a".repeat(43);
const OTHER = "b".repeat(43);
const CONTENT = Buffer.from("export const a = 1;");
const NOBODY = 65534;
const isRoot = process.geteuid?.() === 0;

/** The folder in which all programs keep their caches, and the folder of this library's cache `x`. */
function cacheHome(t: TestContext): { home: string; folder: string } {
  const home = realpathSync(mkdtempSync(join(tmpdir(), "mitogen-cache-")));
  t.after(() => rmSync(home, { recursive: true, force: true }));
  setEnvironment(t, { XDG_CACHE_HOME: home, MITOGEN_CACHE: "" });
  return { home, folder: join(home, "mitogen/x") };
}

/** What another program reads. */
function read(key: string = KEY): string | undefined {
  return new CacheFolder("x").read(key)?.toString();
}

function write(key: string = KEY, content: Uint8Array = CONTENT): void {
  new CacheFolder("x").write(key, content);
}

function both(first: () => unknown, second: () => unknown): () => void {
  return () => {
    first();
    second();
  };
}

test("CacheFolder keeps contents for other programs, in folders and files that only this user can open", (t) => {
  const { home } = cacheHome(t);
  assert.equal(read(), undefined);
  write();
  assert.equal(read(), CONTENT.toString());
  assert.equal(read(OTHER), undefined);
  write(KEY, Buffer.from("2"));
  assert.equal(read(), "2");
  const modes = ["mitogen", "mitogen/x", `mitogen/x/${KEY}`].map((path) => {
    return spawnSync("stat", ["-c", "%a", join(home, path)], { encoding: "utf8" }).stdout.trim();
  });
  assert.deepEqual(modes, ["700", "700", "600"]);
});

test("CacheFolder is below ~/.cache if XDG_CACHE_HOME is not set or not valid", (t) => {
  const { home } = cacheHome(t);
  setEnvironment(t, { HOME: home, XDG_CACHE_HOME: "relative" });
  write();
  assert.ok(existsSync(join(home, ".cache/mitogen/x", KEY)));
  assert.equal(read(), CONTENT.toString());
});

test("CacheFolder ignores a file that is incomplete, changed or another user's", (t) => {
  const { folder } = cacheHome(t);
  const path = join(folder, KEY);
  const spoilers: [title: string, spoil: () => void][] = [
    ["cut off", () => truncateSync(path, readFileSync(path).length - 1)],
    ["empty", () => truncateSync(path)],
    [
      "one bit",
      () =>
        writeFileSync(
          path,
          readFileSync(path).map((byte, i) => (i === 40 ? byte ^ 1 : byte)),
        ),
    ],
    ["too long", () => writeFileSync(path, "x", { flag: "a" })],
    [
      "another key's",
      both(
        () => write(OTHER),
        () => renameSync(join(folder, OTHER), path),
      ),
    ],
    [
      "a folder",
      both(
        () => rmSync(path),
        () => mkdirSync(path),
      ),
    ],
    [
      "a link",
      both(
        () => renameSync(path, `${path}2`),
        () => symlinkSync(`${path}2`, path),
      ),
    ],
    [
      "a pipe without a writer",
      both(
        () => rmSync(path),
        () => spawnSync("mkfifo", [path]),
      ),
    ],
    ["writable by the group", () => chmodSync(path, 0o620)],
    ["writable by others", () => chmodSync(path, 0o602)],
  ];
  if (isRoot) spoilers.push(["another user's", () => chownSync(path, NOBODY, NOBODY)]);
  for (const [title, spoil] of spoilers) {
    rmSync(path, { recursive: true, force: true });
    write();
    assert.equal(read(), CONTENT.toString(), title);
    spoil();
    assert.equal(read(), undefined, title);
  }
});

test("CacheFolder uses no folder that others can write to, and none of another user", (t) => {
  const { home, folder } = cacheHome(t);
  const mitogen = join(home, "mitogen");
  const spoilers: [title: string, spoil: () => void, mend: () => void][] = [
    ["group", () => chmodSync(mitogen, 0o770), () => chmodSync(mitogen, 0o700)],
    ["others", () => chmodSync(folder, 0o703), () => chmodSync(folder, 0o700)],
    // A user who may rename what is in this folder can put another folder in the place of ours.
    ["all caches, group", () => chmodSync(home, 0o770), () => chmodSync(home, 0o700)],
    ["all caches, others", () => chmodSync(home, 0o707), () => chmodSync(home, 0o1777)],
  ];
  if (isRoot) {
    for (const path of [home, mitogen, folder]) {
      spoilers.push([path, () => chownSync(path, NOBODY, 0), () => chownSync(path, 0, 0)]);
    }
    const aside = `${mitogen}2`;
    const link = (): void => {
      renameSync(mitogen, aside);
      symlinkSync(aside, mitogen);
      lchownSync(mitogen, NOBODY, NOBODY);
    };
    spoilers.push([
      "a link of another's",
      link,
      both(
        () => rmSync(mitogen),
        () => renameSync(aside, mitogen),
      ),
    ]);
  }
  write();
  for (const [title, spoil, mend] of spoilers) {
    spoil();
    const before = readdirSync(folder);
    write(OTHER);
    assert.deepEqual([read(), readdirSync(folder)], [undefined, before], title);
    mend();
    assert.equal(read(), CONTENT.toString(), title);
  }
});

test("CacheFolder follows a link that this user has made", (t) => {
  const { home } = cacheHome(t);
  mkdirSync(join(home, "elsewhere"), { mode: 0o700 });
  symlinkSync("elsewhere", join(home, "mitogen"));
  write();
  assert.ok(existsSync(join(home, "elsewhere/x", KEY)));
  assert.equal(read(), CONTENT.toString());
});

test("CacheFolder makes nothing in a folder of another user", { skip: !isRoot }, (t) => {
  const { home } = cacheHome(t);
  // As for `sudo -E`: root with the caller's HOME.
  chownSync(home, NOBODY, NOBODY);
  for (const variables of [{}, { HOME: home, XDG_CACHE_HOME: "" }, { XDG_CACHE_HOME: join(home, "cache") }]) {
    setEnvironment(t, variables);
    write();
    assert.deepEqual([readdirSync(home), read()], [[], undefined]);
  }
});

test("CacheFolder checks the folder again when the process has become another user", {
  skip: !isRoot,
}, (t) => {
  const { home, folder } = cacheHome(t);
  chownSync(home, NOBODY, NOBODY);
  const url = new URL("../../../src/loader/compile/cache-folder.js", import.meta.url).href;
  const program = `
    import { CacheFolder } from "${url}";
    const cache = new CacheFolder("x");
    process.seteuid(${NOBODY});
    cache.write("${KEY}", Buffer.from("1"));
    process.seteuid(0);
    cache.write("${OTHER}", Buffer.from("2"));
    const asRoot = cache.read("${KEY}");
    process.seteuid(${NOBODY});
    console.log(JSON.stringify([asRoot, cache.read("${KEY}").toString()]));`;
  const args = ["--input-type=module", "-e", program];
  const { stdout, stderr } = spawnSync(process.execPath, args, { encoding: "utf8" });
  assert.equal(stdout.trim(), '[null,"1"]', stderr);
  assert.deepEqual(readdirSync(folder), [KEY]);
});

test("CacheFolder keeps nothing if it is switched off, or if nothing can be written", (t) => {
  const { home } = cacheHome(t);
  for (const variables of [
    { MITOGEN_CACHE: "off" },
    { MITOGEN_CACHE: "", XDG_CACHE_HOME: "/dev/null/x" },
    { XDG_CACHE_HOME: "", HOME: "/dev/null" },
    { XDG_CACHE_HOME: join(home, "not/there") },
  ]) {
    setEnvironment(t, variables);
    write();
    assert.equal(read(), undefined, JSON.stringify(variables));
  }
  assert.deepEqual(readdirSync(home), []);
});

test("CacheFolder removes the least recently used files, and files that killed programs have left", (t) => {
  const { folder } = cacheHome(t);
  const block = 16 * 1024;
  const key = (i: number): string => String(i).padEnd(43, "k");
  const cache = (): CacheFolder => new CacheFolder("x", 8 * block);
  for (let i = 0; i < 8; i++) cache().write(key(i), CONTENT);
  const hours = (count: number): number => Date.now() / 1000 - count * 3600;
  for (let i = 0; i < 8; i++) utimesSync(join(folder, key(i)), hours(100 - i), hours(100 - i));
  const [old, young] = [`${OTHER}.${"0".repeat(12)}.part`, `${OTHER}.${"1".repeat(12)}.part`];
  // Files that are not the cache's stay, however old they are.
  const foreign = ["film.part", "photo.jpg"];
  for (const [name, age] of [
    [old, 2] as const,
    [young, 0] as const,
    ...foreign.map((name) => [name, 999] as const),
  ]) {
    writeFileSync(join(folder, name), "");
    utimesSync(join(folder, name), hours(age), hours(age));
  }
  // Reading renews the date.
  assert.ok(cache().read(key(0)));
  const writer = cache();
  writer.write(key(8), CONTENT);
  const left = (): string[] =>
    readdirSync(folder)
      .map((name) => name.replace(/k+$/, ""))
      .sort();
  assert.deepEqual(left(), ["0", "4", "5", "6", "7", "8", young, ...foreign]);
  // The limit also holds while one writer goes on without listing the folder again.
  for (let i = 10; i < 16; i++) writer.write(key(i), CONTENT);
  assert.ok(left().length <= 11, left().join());
  assert.equal(cache().read(key(15))?.toString(), CONTENT.toString());
  cache().write(KEY, Buffer.alloc(5 * 1024 * 1024));
  assert.equal(read(), undefined);
});

const TURNS = isQuick ? 100 : 300;
test("CacheFolder serves several programs at once: each sees a whole file or none", (t) => {
  cacheHome(t);
  const url = new URL("../../../src/loader/compile/cache-folder.js", import.meta.url).href;
  const program = `
    const { spawn } = await import("node:child_process");
    const { CacheFolder } = await import("${url}");
    if (process.argv[1] === undefined) {
      const args = (i) => ["--input-type=module", "-e", process.env.PROGRAM, String(i)];
      const all = [1, 2, 3, 4].map((i) => new Promise((resolve) =>
        spawn(process.execPath, args(i), { stdio: ["ignore", "inherit", "inherit"] }).once("exit", resolve)));
      console.log((await Promise.all(all)).join());
    } else {
      for (let turn = 0; turn < ${TURNS}; turn++) {
        // With a small limit, files are removed while others read them.
        const cache = new CacheFolder("x", 40 * 4096);
        const key = String(turn % 50).padEnd(43, "k");
        const found = cache.read(key);
        if (found !== undefined && new Set(found).size !== 1) throw new Error("torn");
        cache.write(key, Buffer.alloc(20_000, process.argv[1]));
      }
    }`;
  const { stdout, stderr } = spawnSync(process.execPath, ["--input-type=module", "-e", program], {
    encoding: "utf8",
    env: { ...process.env, PROGRAM: program, NODE_TEST_CONTEXT: undefined },
  });
  assert.deepEqual([stdout.trim(), stderr], ["0,0,0,0", ""]);
});

test("CacheFolder reads files even if their dates cannot be renewed", (t) => {
  const { folder } = cacheHome(t);
  write();
  utimesSync(join(folder, KEY), 1, 1);
  const { futimesSync } = fs;
  t.after(() => setFutimes(futimesSync));
  setFutimes(() => {
    throw Object.assign(new Error("EROFS: read-only file system, futime"), { code: "EROFS" });
  });
  assert.equal(read(), CONTENT.toString());
});

test("CacheFolder is never in the working directory, whatever HOME is", (t) => {
  const { home } = cacheHome(t);
  const directory = process.cwd();
  t.after(() => process.chdir(directory));
  process.chdir(home);
  for (const relative of ["", "rel", "."]) {
    setEnvironment(t, { XDG_CACHE_HOME: "", HOME: relative });
    write();
    assert.equal(read(), undefined, `home ${relative}`);
  }
  assert.deepEqual(readdirSync(home), []);
});

function setFutimes(futimesSync: typeof fs.futimesSync): void {
  Object.assign(fs, { futimesSync });
  syncBuiltinESMExports();
}
