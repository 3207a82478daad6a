import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { gunzipSync } from "node:zlib";
import { readExecutable } from "../../../../src/connection/runtime/packs/elf.ts";
import { packRuntime } from "../../../../src/connection/runtime/packs/pack.ts";
import { BLOCK_BYTES, ProvisionFailure, type RuntimePlan } from "../../../../src/connection/runtime/plan.ts";
import { takesLong } from "../../../support/extent.ts";
import { nodes } from "../../../support/lab.ts";

const folder = mkdtempSync(join(tmpdir(), "mitogen-pack-test-"));
after(() => rmSync(folder, { recursive: true }));

const skip = process.platform !== "linux" && "packs are of Linux";
const smallest = nodes[12] ?? process.execPath;

async function packed(path: string): Promise<{ plan: RuntimePlan; bytes: Buffer }> {
  const pieces: Buffer[] = [];
  const plan = await packRuntime(path, async (piece) => void pieces.push(piece));
  return { plan, bytes: Buffer.concat(pieces) };
}

test("readExecutable tells the architecture and the libc, and is undefined for a file that is no executable", {
  skip,
}, async () => {
  const own = await readExecutable(process.execPath);
  assert.deepEqual([own?.platform, own?.arch, own?.libc], ["linux", process.arch, "glibc"]);
  const script = join(folder, "script");
  writeFileSync(script, "#!/bin/sh\n");
  assert.equal(await readExecutable(script), undefined);
  writeFileSync(script, Buffer.concat([Buffer.from("\x7fELF\x02\x01"), Buffer.alloc(30)]));
  assert.equal(await readExecutable(script), undefined);
  // It ends, whatever the numbers in the header are.
  const header = readFileSync(process.execPath).subarray(0, 4096);
  for (let at = 6; at < 64; at++) {
    const broken = Buffer.from(header);
    broken[at] = 0xff;
    writeFileSync(script, broken);
    await readExecutable(script).catch(() => undefined);
  }
});

test("packRuntime packs an executable with its libraries, named by the SHA-256 of everything", {
  skip: skip || takesLong,
}, async () => {
  const { plan, bytes } = await packed(smallest);
  const raw = gunzipSync(bytes);
  assert.equal(createHash("sha256").update(raw).digest("hex"), plan.hash);
  assert.deepEqual([plan.rawBytes, plan.packedBytes], [raw.length, bytes.length]);
  assert.equal(plan.version, execFileSync(smallest, ["-v"], { encoding: "utf8" }).trim());
  const names = plan.libraries.map(({ name }) => name);
  assert.ok(names.includes("libc.so.6") && names.includes(plan.own?.loader ?? ""), names.join());
  for (const { name, offset, bytes: length } of plan.libraries) {
    assert.deepEqual([offset % BLOCK_BYTES, length % BLOCK_BYTES], [0, 0]);
    assert.equal(raw.toString("latin1", offset, offset + 4), "\x7fELF", name);
  }
  // It runs as it is, with the libraries appended.
  const copy = join(folder, "node");
  writeFileSync(copy, raw, { mode: 0o755 });
  assert.equal(execFileSync(copy, ["-v"], { encoding: "utf8" }).trim(), plan.version);
});

test("packRuntime gives the same executable the same name each time", { skip }, async () => {
  const first = await packed("/bin/sh");
  assert.equal((await packed("/bin/sh")).plan.hash, first.plan.hash);
  // It is no node, so it cannot tell what it has loaded.
  assert.deepEqual([first.plan.version, first.plan.libraries, first.plan.own], ["", [], undefined]);
});

test("packRuntime refuses a file that is no executable", async () => {
  const script = join(folder, "no node");
  writeFileSync(script, "#!/bin/sh\n");
  await assert.rejects(packed(script), (error: unknown) => {
    assert.ok(error instanceof ProvisionFailure);
    assert.equal(error.code, "ERR_NO_RUNTIME");
    return true;
  });
});
