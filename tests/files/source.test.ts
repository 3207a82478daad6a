import assert from "node:assert/strict";
import { appendFileSync, mkdtempSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { openFile } from "../../src/files/source.ts";

test("FileSource gives a file as long as it was when it was opened: what is added does not count, what is cut off is an error", async (t) => {
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
