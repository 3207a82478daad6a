import assert from "node:assert/strict";
import { existsSync, mkdirSync, readdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { makeSshFolder, removeFolder } from "../../src/fakessh/ssh-folder.ts";
import { setEnvironment, temporaryFolder } from "../support/temporary-folder.ts";

test("makeSshFolder counts the bytes of a socket's path, and leaves nothing if there are too many", (t) => {
  const folder = temporaryFolder(t);
  const short = makeSshFolder();
  assert.ok(existsSync(short.path));
  assert.equal(dirname(short.path), folder);
  removeFolder(short.path);
  // The limit counts bytes: this path does not have too many characters.
  const deep = join(folder, "ü".repeat(40));
  mkdirSync(deep);
  setEnvironment(t, { TMPDIR: deep });
  assert.throws(makeSshFolder, /it is too long; set TMPDIR to another folder/);
  assert.deepEqual(readdirSync(deep), []);
});
