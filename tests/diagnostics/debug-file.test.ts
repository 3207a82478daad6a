import assert from "node:assert/strict";
import { readFileSync, statSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { DebugFile } from "../../src/diagnostics/debug-file.ts";
import { getLogger } from "../../src/logging/log.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

test("DebugFile holds its origin and every record until it is closed", (t) => {
  const folder = temporaryFolder(t);
  const log = getLogger("app");
  const file = new DebugFile(4711, "    at main (app.ts:3:1)");
  assert.match(file.path, new RegExp(`^${folder}/mitogen\\.${process.pid}\\.\\d{8}_\\d{6}\\.log$`));
  log.io("frame");
  log.error("one\ntwo");
  file.close();
  log.error("late");
  assert.equal(log.isEnabled("error"), false);
  assert.equal(statSync(file.path).mode & 0o777, 0o600);
  const lines = readFileSync(file.path, "utf8").split("\n");
  assert.match(lines[0] ?? "", new RegExp(`^Process ${process.pid}, node `));
  assert.deepEqual(lines.slice(1, 5), ["Parent PID: 4711", "Created by:", "    at main (app.ts:3:1)", ""]);
  assert.match(lines[5] ?? "", /^\d{4}-\d\d-\d\dT[\d:.]+Z D app: frame$/);
  assert.match(lines[6] ?? "", /^\S+Z E app: one$/);
  assert.deepEqual(lines.slice(7), ["    two", ""]);
});

test("DebugFile takes another name if its own is taken, and follows no link", (t) => {
  const folder = temporaryFolder(t);
  t.mock.timers.enable({ apis: ["Date"], now: new Date(2026, 4, 6, 7, 8, 9) });
  const path = join(folder, `mitogen.${process.pid}.20260506_070809`);
  symlinkSync("/dev/null", `${path}.log`);
  const files = [new DebugFile(1, ""), new DebugFile(1, "")];
  assert.deepEqual(
    files.map((file) => file.path),
    [`${path}.1.log`, `${path}.2.log`],
  );
  for (const file of files) file.close();
});
