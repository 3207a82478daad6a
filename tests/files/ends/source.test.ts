import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { appendFileSync, mkdtempSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { CHUNK_BYTES, openFile } from "../../../src/files/ends/source.ts";

test("OpenedFile reads a file as long as it was when it was opened: it leaves out added bytes, and fails if bytes are missing", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "mitogen-source-"));
  t.after(() => rmSync(folder, { recursive: true }));
  const path = join(folder, "log");
  writeFileSync(path, "before");
  const source = await openFile(path);
  t.after(() => source.close());
  const read = async (): Promise<string> => {
    let text = "";
    for await (const chunk of source.chunks(0)) text += Buffer.from(chunk).toString();
    return text;
  };
  appendFileSync(path, ", behind");
  assert.equal(await read(), "before");
  truncateSync(path, 3);
  await assert.rejects(read(), { code: "ERR_FILE_CHANGED", side: "source", path });
});

test("OpenedFile reads ahead, and yields every byte in its place, even to a slow reader", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "mitogen-source-"));
  t.after(() => rmSync(folder, { recursive: true }));
  const path = join(folder, "file");
  const bytes = randomBytes(5 * CHUNK_BYTES + 7);
  writeFileSync(path, bytes);
  const source = await openFile(path);
  t.after(() => source.close());
  let at = 3;
  for await (const chunk of source.chunks(at)) {
    // A chunk stays valid until the next is requested. This read takes the same disk's time, so that OpenedFile reads
    // ahead meanwhile.
    await readFile(path);
    assert.ok(bytes.subarray(at, at + chunk.length).equals(chunk), `other bytes at ${at}`);
    at += chunk.length;
  }
  assert.equal(at, bytes.length);
});
