import assert from "node:assert/strict";
import fs, {
  copyFileSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  statSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { syncBuiltinESMExports } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, beforeEach, test } from "node:test";
import { RuntimeStore } from "../../../../src/connection/runtime/packs/store.ts";

const parent = mkdtempSync(join(tmpdir(), "mitogen-store-test-"));
const before = process.env.XDG_CACHE_HOME;
after(() => {
  if (before === undefined) delete process.env.XDG_CACHE_HOME;
  else process.env.XDG_CACHE_HOME = before;
  rmSync(parent, { recursive: true });
});
beforeEach(() => {
  process.env.XDG_CACHE_HOME = mkdtempSync(join(parent, "cache-"));
});

const skip = process.platform !== "linux" && "packs are of Linux";
/** An executable that serves as well as a node here, and is a thousandth of its size. */
const smallest = "/bin/sh";
const folder = (): string => join(process.env.XDG_CACHE_HOME as string, "mitogen/runtimes");

test("RuntimeStore packs a file once, for many callers and for later programs", { skip }, async () => {
  const store = new RuntimeStore();
  const [first, second] = await Promise.all([store.packed(smallest), store.packed(smallest)]);
  assert.equal(first, second);
  const file = join(folder(), `${first.hash}.gz`);
  assert.deepEqual(readdirSync(folder()).sort(), [`${first.hash}.gz`, `${first.hash}.json`]);
  assert.equal(statSync(file).mode & 0o777, 0o600);
  utimesSync(file, 1, 1);
  const other = new RuntimeStore();
  // As the JSON file says it, which cannot hold undefined.
  const told = JSON.parse(JSON.stringify(first));
  assert.deepEqual(await other.packed(smallest), told);
  assert.ok(statSync(file).mtimeMs > 1000, "its use is noted");
  assert.deepEqual(other.list(), [told]);
  assert.equal(other.find(first.hash)?.hash, first.hash);
  assert.equal(other.find("../../etc/passwd"), undefined);
});

test("RuntimeStore uses a pack whose date cannot be renewed", { skip }, async (t) => {
  const first = await new RuntimeStore().packed(smallest);
  // Stands for a disk that cannot be written to, which not every machine has.
  const touch = t.mock.method(fs, "utimesSync", () => {
    throw new Error("EROFS: read-only file system");
  });
  syncBuiltinESMExports();
  try {
    assert.equal((await new RuntimeStore().packed(smallest)).hash, first.hash);
    assert.equal(touch.mock.callCount(), 1);
  } finally {
    touch.mock.restore();
    syncBuiltinESMExports();
  }
});

test("RuntimeStore reads a pack from any offset, and says if the pack has gone", { skip }, async () => {
  const store = new RuntimeStore();
  const runtime = await store.packed(smallest);
  const end = await store.read(runtime, runtime.packedBytes - 10);
  assert.equal(end.length, 10);
  assert.deepEqual([...(await store.read(runtime, 0)).subarray(0, 2)], [0x1f, 0x8b]);
  rmSync(join(folder(), `${runtime.hash}.gz`));
  await assert.rejects(store.read(runtime, 0), /has gone from the cache/);
});

test("RuntimeStore packs again if the file has changed, or the pack was cut short", { skip }, async () => {
  const store = new RuntimeStore();
  const copy = join(parent, "copy");
  copyFileSync(smallest, copy);
  const first = await store.packed(copy);
  utimesSync(copy, 5, 5);
  const again = await store.packed(copy);
  assert.equal(again.hash, first.hash);
  assert.equal(store.list().length, 1);
  truncateSync(join(folder(), `${first.hash}.gz`), 100);
  assert.deepEqual(store.list(), []);
  assert.equal((await store.packed(copy)).packedBytes, first.packedBytes);
});

test("RuntimeStore clears packs, and removes files that killed programs have left", { skip }, async () => {
  const store = new RuntimeStore();
  const runtime = await store.packed(smallest);
  assert.equal(store.clear("0".repeat(64)), 0);
  assert.equal(store.clear(runtime.hash), 1);
  assert.deepEqual(readdirSync(folder()), []);
  const [left, fresh] = ["old.part", "new.part"].map((name) => join(folder(), name)) as [string, string];
  for (const path of [left, fresh]) writeFileSync(path, "");
  utimesSync(left, 1, 1);
  await store.packed(smallest);
  assert.deepEqual([existsSync(left), existsSync(fresh)], [false, true]);
});

test("RuntimeStore keeps packs in memory if there is no folder", { skip }, async () => {
  process.env.MITOGEN_CACHE = "off";
  try {
    const store = new RuntimeStore();
    const runtime = await store.packed(smallest);
    assert.deepEqual([...(await store.read(runtime, 0)).subarray(0, 2)], [0x1f, 0x8b]);
    assert.equal(store.list().length, 1);
    assert.equal(existsSync(folder()), false);
    assert.equal(store.clear(), 1);
  } finally {
    delete process.env.MITOGEN_CACHE;
  }
});
