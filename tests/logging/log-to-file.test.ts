import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { emitRecord, getLogger, type LogRecord } from "../../src/logging/log.ts";
import { formatRecord } from "../../src/logging/log-line.ts";
import { logToFile, onLog } from "../../src/logging/log-to-file.ts";

const log = getLogger("test");
const LEVELS = ["error", "warning", "info", "debug", "io"] as const;
const logAll = () => {
  for (const level of LEVELS) log[level](level);
};

// The runner's own environment must not decide.
delete process.env.MITOGEN_LOG_LEVEL;

function folder(t: TestContext): string {
  const path = mkdtempSync(join(tmpdir(), "mitogen-log-"));
  t.after(() => {
    // Replaces the log file of the test, so that nothing more is written to it.
    logToFile("/dev/null");
    rmSync(path, { recursive: true });
  });
  return path;
}

function withLevel<T>(level: string | undefined, run: () => T): T {
  if (level !== undefined) process.env.MITOGEN_LOG_LEVEL = level;
  try {
    return run();
  } finally {
    delete process.env.MITOGEN_LOG_LEVEL;
  }
}

const record = (change: Partial<LogRecord> = {}): LogRecord => ({
  time: new Date(2024, 0, 31, 9, 5, 7, 999).getTime(),
  level: "info",
  logger: "mitogen.ctx.local.32466",
  message: "stdout: Hello",
  ...change,
});
const messages = (path: string) =>
  readFileSync(path, "utf8")
    .split("\n")
    .slice(0, -1)
    .map((line) => line.replace(/^\d\d:\d\d:\d\d [EWID] test: /, ""));

test("formatRecord prints time, the level's letter, logger and message", () => {
  assert.equal(formatRecord(record()), "09:05:07 I mitogen.ctx.local.32466: stdout: Hello");
  assert.deepEqual(
    LEVELS.map((level) => formatRecord(record({ level })).split(" ")[1]),
    ["E", "W", "I", "D", "D"],
  );
});

test("formatRecord indents further lines of a message, so that they cannot look like records", () => {
  assert.equal(
    formatRecord(record({ message: "one\n09:05:07 E forged: two\n" })),
    "09:05:07 I mitogen.ctx.local.32466: one\n    09:05:07 E forged: two\n    ",
  );
});

test("formatRecord escapes what a terminal acts on, and keeps colours", () => {
  const forged = record({
    logger: "mitogen.ctx.a\n09:05:07 E b",
    message: "\x1b[32mok\x1b[0m\x1b[2K\x9b2J\x1b]0;t\x07",
  });
  const shown =
    "09:05:07 I mitogen.ctx.a\\u000a09:05:07 E b: \x1b[32mok\x1b[0m\\u001b[2K\\u009b2J\\u001b]0;t\\u0007";
  assert.equal(formatRecord(forged), shown);
  assert.equal(
    formatRecord(record({ message: "a\x1b[2K\nb" }), true),
    "09:05:07 I mitogen.ctx.local.32466: a\x1b[2K\n    b",
  );
});

test("formatRecord returns a line whatever time a child claims", () => {
  for (const time of [Number.NaN, Number.POSITIVE_INFINITY, -1e300, 8.64e15, 9e15, -0]) {
    assert.match(formatRecord(record({ time })), /^\d\d:\d\d:\d\d I /, String(time));
  }
});

test("logToFile writes control sequences unchanged if asked to", (t) => {
  const path = join(folder(t), "log");
  logToFile(path, { raw: true });
  log.info("a\x1b[2Kb");
  log.info("a line that ended in CR LF\r");
  logToFile(`${path}2`);
  log.info("a\x1b[2Kb");
  assert.deepEqual(messages(path), ["a\x1b[2Kb", "a line that ended in CR LF"]);
  assert.deepEqual(messages(`${path}2`), ["a\\u001b[2Kb"]);
});

test("logToFile writes records of its level, one line each, as they come", (t) => {
  const path = join(folder(t), "log");
  logToFile(path, { level: "warning" });
  logAll();
  assert.match(
    readFileSync(path, "utf8"),
    /^\d\d:\d\d:\d\d E test: error\n\d\d:\d\d:\d\d W test: warning\n$/,
  );
});

test("logToFile writes level info by default", (t) => {
  const path = join(folder(t), "log");
  logToFile(path);
  logAll();
  assert.deepEqual(messages(path), ["error", "warning", "info"]);
});

test("logToFile truncates the file", (t) => {
  const path = join(folder(t), "log");
  logToFile(path);
  log.info("first");
  logToFile(path);
  log.info("second");
  assert.deepEqual(messages(path), ["second"]);
});

test("logToFile called again replaces the earlier file: no record twice", (t) => {
  const [first, second] = ["first", "second"].map((name) => join(folder(t), name)) as [string, string];
  logToFile(first);
  log.info("one");
  logToFile(second, { level: "debug" });
  log.info("two");
  log.debug("three");
  assert.deepEqual([messages(first), messages(second)], [["one"], ["two", "three"]]);
});

test("logToFile that cannot open its file throws and leaves the earlier one in place", (t) => {
  const path = join(folder(t), "log");
  logToFile(path);
  assert.throws(() => logToFile("/nonexistent/folder/log"), { code: "ENOENT" });
  log.info("still here");
  assert.deepEqual(messages(path), ["still here"]);
});

test("MITOGEN_LOG_LEVEL overrides the level, in any case; an unknown one means info", (t) => {
  const path = join(folder(t), "log");
  const cases: [string | undefined, readonly string[]][] = [
    ["ERROR", ["error"]],
    ["debug", ["error", "warning", "info", "debug"]],
    ["Io", ["error", "warning", "info", "debug", "io"]],
    ["none", []],
    ["verbose", ["error", "warning", "info"]],
    ["toString", ["error", "warning", "info"]],
    [undefined, ["error", "warning"]],
  ];
  for (const [level, expected] of cases) {
    withLevel(level, () => logToFile(path, { level: "warning" }));
    logAll();
    assert.deepEqual(messages(path), expected, level);
  }
});

test("logToFile without a path writes to stderr and leaves stdout alone", () => {
  const module = new URL("../../src/logging/log-to-file.js", import.meta.url);
  const core = new URL("../../src/logging/log.js", import.meta.url);
  const script = `
    import { logToFile } from "${module}";
    import { getLogger } from "${core}";
    logToFile(); logToFile();
    getLogger("test").info("hello");`;
  const { NODE_TEST_CONTEXT, ...env } = process.env;
  const child = spawnSync(process.execPath, ["--input-type=module", "-e", script], { env, encoding: "utf8" });
  assert.equal(child.stdout, "");
  assert.match(child.stderr, /^\d\d:\d\d:\d\d I test: hello\n$/);
});

test("onLog passes on every record of its level, whole, until it is stopped", () => {
  const seen: LogRecord[] = [];
  const stop = onLog((each) => seen.push(each), { level: "debug" });
  const context = { contextId: 1 };
  const forwarded = record({ mitogenContext: context, mitogenName: "stdout", mitogenMsg: "Hello" });
  emitRecord(forwarded);
  log.io("too fine");
  stop();
  log.error("after");
  assert.deepEqual(seen, [forwarded]);
});

test("onLog and logToFile work side by side, and a sink that throws harms neither", (t) => {
  const path = join(folder(t), "log");
  const seen: string[] = [];
  const stops = [
    onLog(() => {
      throw new Error("broken");
    }),
    onLog(({ message }) => seen.push(message)),
  ];
  logToFile(path);
  log.info("one");
  log.info("two");
  for (const stop of stops) stop();
  assert.deepEqual(
    [seen, messages(path)],
    [
      ["one", "two"],
      ["one", "two"],
    ],
  );
});

test("onLog drops the error of an async sink", async () => {
  const seen: string[] = [];
  const stops = [
    onLog(async ({ message }) => {
      seen.push(message);
      throw Symbol("odd");
    }),
    onLog(({ message }) => seen.push(message)),
  ];
  log.info("both");
  // By now, an unhandled rejection would have failed this test.
  await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual(seen, ["both", "both"]);
  for (const stop of stops) stop();
});
