import assert from "node:assert/strict";
import { test } from "node:test";
import { RequestLog } from "../../../src/loader/serve/request-log.ts";
import { captureLogs } from "../../support/fake-log-sink.ts";

test("RequestLog logs the first request at once, and counts later ones over ever longer pauses", (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const records = captureLogs(t);
  const log = new RequestLog("Refused a module to");
  for (let count = 1; count <= 413; count++) log.add(7, "web", `reason ${count}`);
  assert.deepEqual(
    records.map(({ message, level }) => [level, message]),
    [["warning", "Refused a module to web: reason 1"]],
  );
  t.mock.timers.tick(1_000);
  assert.equal(records.at(-1)?.message, "Refused a module to web: … and 412 more, the last: reason 413");
  log.add(7, "web", "again");
  t.mock.timers.tick(1_999);
  assert.equal(records.length, 2);
  t.mock.timers.tick(1);
  assert.equal(records.at(-1)?.message, "Refused a module to web: … and 1 more, the last: again");
  t.mock.timers.tick(4_000);
  log.add(7, "web", "a new burst");
  assert.equal(records.at(-1)?.message, "Refused a module to web: a new burst");
  assert.equal(records.length, 4);
  log.end(7);
});

test("RequestLog keeps contexts apart, and logs the count of a context when it ends", (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const records = captureLogs(t);
  const log = new RequestLog("Refused a module to");
  for (const name of ["web", "db"]) for (let i = 0; i < 3; i++) log.add(name.length, name, `${i}`);
  log.end(3);
  log.end(3);
  t.mock.timers.tick(100_000);
  assert.deepEqual(
    records.map(({ message }) => message),
    [
      "Refused a module to web: 0",
      "Refused a module to db: 0",
      "Refused a module to web: … and 2 more, the last: 2",
      "Refused a module to db: … and 2 more, the last: 2",
    ],
  );
});

test("RequestLog makes text from a context harmless and short", (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const records = captureLogs(t);
  const log = new RequestLog("Refused a module to");
  log.add(1, "web", `a\nb\u001b[2Jc\u202ed${"x".repeat(100_000)}`);
  assert.ok(records[0]?.message.startsWith("Refused a module to web: a\\u000ab\\u001b[2Jc\\u202edxxx"));
  assert.ok((records[0]?.message.length ?? 0) < 1_100);
  log.end(1);
});

test("RequestLog holds a bounded number of texts and contexts", (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const records = captureLogs(t);
  const log = new RequestLog("Refused a module to");
  for (let id = 1; id <= 5_000; id++) log.add(id, `c${id}`, "x".repeat(10_000));
  assert.equal(log.noted.length, 100);
  // A thousand contexts have lines of their own. One line stands for all others.
  assert.equal(records.length, 1_001);
  t.mock.timers.tick(1_000);
  assert.match(records.at(-1)?.message ?? "", /other contexts: … and 3999 more/);
});
