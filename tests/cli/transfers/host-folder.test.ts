import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { hostFolder } from "../../../src/cli/transfers/host-folder.ts";

test("hostFolder keeps usual names", () => {
  for (const name of ["web1", "web1.example.com", "ada@10.0.0.1", "db-2_a"])
    assert.equal(hostFolder(name), name);
});

test("hostFolder: no name leads out of the folder, is hidden, or has two parts", () => {
  for (const name of [".", "..", "../../etc", "/etc/passwd", ".ssh", "a/b", "a\\b", "a\0b", "a\nb", "C:"]) {
    const folder = hostFolder(name);
    assert.match(folder, /^[\w%@+=,-][\w.%@+=,-]*$/, JSON.stringify(name));
    assert.equal(join("/x", folder), `/x/${folder}`);
  }
});

test("hostFolder: two hosts never share a folder", () => {
  const names = ["a/b", "a%2fb", "a_b", "%61/b", ".a", "%2ea", "a b", "a%20b", "é", "%e9", "/abc", "\u2fabc"];
  assert.equal(new Set(names.map(hostFolder)).size, names.length);
});
