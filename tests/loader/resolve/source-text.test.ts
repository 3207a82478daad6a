import assert from "node:assert/strict";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { parseDataUrl } from "../../../src/loader/resolve/data-url.ts";
import { readSource, readSourceNow, sourceText } from "../../../src/loader/resolve/source-text.ts";
import { temporaryTree } from "../../support/temporary-tree.ts";

const MARK = "\uFEFF";

test("readSource and readSourceNow read the same text, without a byte order mark", async () => {
  const texts: Record<string, string> = {
    "plain.js": "export const a = 1;\r\n",
    "marked.js": `${MARK}export const a = 1;`,
    "twice.js": `${MARK}${MARK}x`,
    "empty.js": "",
    "mark.js": MARK,
  };
  const at = temporaryTree(texts);
  for (const [name, text] of Object.entries(texts)) {
    const expected = text.startsWith(MARK) ? text.slice(1) : text;
    assert.equal(await readSource(at(name)), expected, name);
    assert.equal(readSourceNow(at(name)), expected, name);
    assert.equal(readSourceNow(fileURLToPath(at(name))), expected, name);
    assert.equal(sourceText(text), expected, name);
  }
  await assert.rejects(readSource(at("absent.js")), { code: "ENOENT" });
  assert.throws(() => readSourceNow(at("absent.js")), { code: "ENOENT" });
});

test("parseDataUrl drops a byte order mark, however it is encoded", () => {
  const base64 = Buffer.from(`${MARK}export default 1`).toString("base64");
  for (const body of [",%EF%BB%BFexport default 1", `;base64,${base64}`]) {
    assert.equal(parseDataUrl(`data:text/javascript${body}`).text, "export default 1");
  }
});
