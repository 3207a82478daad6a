import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { chmodSync, chownSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import type { FileHandle } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { FileSink } from "../../../src/files/ends/file-sink.ts";
import { leavePart, openPart } from "../../../src/files/ends/part-file.ts";
import { Deferred } from "../../../src/waiting/deferred.ts";
import { failureOf, stateOf } from "../../support/service-pair.ts";

const MIB = 1024 * 1024;
const broken = (): Error => Object.assign(new Error("EIO: i/o error, fdatasync"), { code: "EIO" });

/** A sink that was given 32 MiB, on a disk whose `datasync` ends when the test says so; and the calls to that disk. */
async function fullSink(t: TestContext, sync?: boolean) {
  const folder = mkdtempSync(join(tmpdir(), "mitogen-sink-"));
  t.after(() => rmSync(folder, { recursive: true }));
  const path = join(folder, "file");
  const part = await openPart(path, false);
  const asked: string[] = [];
  const synced = new Deferred<void>();
  const disk = new Proxy(part.file, {
    get(file, name) {
      const method = file[name as keyof FileHandle];
      if (typeof method !== "function") return method;
      return (...args: unknown[]) => {
        asked.push(String(name));
        return name === "datasync" ? synced.promise : Reflect.apply(method, file, args);
      };
    },
  });
  const sink = new FileSink(path, { sync }, { ...part, file: disk }, createHash("sha256"));
  await sink.begin({ at: 0, size: 32 * MIB, metadata: undefined });
  for (let written = 0; written < 32 * MIB; written += MIB) await sink.write(Buffer.alloc(MIB, "x"));
  return { sink, path, folder, asked, synced };
}

test("FileSink with `sync: false` never syncs, so the system decides when bytes reach the disk", async (t) => {
  const { sink, path, asked } = await fullSink(t, false);
  await sink.commit();
  assert.deepEqual(
    asked.filter((name) => /sync/.test(name)),
    [],
  );
  assert.equal(readFileSync(path).length, 32 * MIB);
});

test("FileSink syncs while the rest arrives, with one datasync at a time", async (t) => {
  const { sink, path, asked, synced } = await fullSink(t);
  assert.equal(asked.filter((name) => name === "datasync").length, 1);
  assert.ok(asked.lastIndexOf("write") > asked.indexOf("datasync"), asked.join(" "));
  const committed = sink.commit();
  assert.equal(await stateOf(committed), "pending");
  synced.resolve();
  await committed;
  assert.ok(asked.indexOf("sync") > 0);
  assert.equal(readFileSync(path).length, 32 * MIB);
});

test("FileSink.commit fails if an earlier datasync failed", async (t) => {
  const { sink, path, synced } = await fullSink(t);
  synced.reject(broken());
  const failure = await failureOf(sink.commit());
  assert.deepEqual([failure.code, existsSync(path)], ["EIO", false]);
  await sink.abandon(failure);
});

test("FileSink.abandon closes the file when the datasync has ended, and leaves the part", async (t) => {
  const { sink, folder, asked, synced } = await fullSink(t);
  const abandoned = sink.abandon(new Error("given up"));
  assert.equal(await stateOf(abandoned), "pending");
  assert.ok(!asked.includes("close"));
  synced.reject(broken());
  await abandoned;
  assert.ok(asked.includes("close"));
  assert.match(readdirSync(folder).join(), /^\.file\.mitogen-.*\.part$/);
});

test("openPart replaces a part that its own user may not write", async (t) => {
  const NOBODY = 65534;
  const isRoot = process.geteuid?.() === 0;
  const folder = mkdtempSync(join(tmpdir(), "mitogen-sink-"));
  t.after(() => {
    if (isRoot) process.seteuid?.(0);
    rmSync(folder, { recursive: true });
  });
  if (isRoot) {
    chownSync(folder, NOBODY, NOBODY);
    process.seteuid?.(NOBODY);
  }
  const path = join(folder, "file");
  const left = await openPart(path, false);
  await left.file.write("half of a file");
  await left.file.close();
  // As a transfer of a file without write permission leaves it that is killed before its last step.
  chmodSync(left.path, 0o444);
  leavePart(left);
  const part = await openPart(path, true);
  await part.file.close();
  leavePart(part);
  assert.deepEqual([part.size, readdirSync(folder).length], [0, 1]);
});
