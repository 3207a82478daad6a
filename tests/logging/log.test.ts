import assert from "node:assert/strict";
import { test } from "node:test";
import {
  addLogSink,
  emitRecord,
  getLogger,
  isLogEnabled,
  LogLevel,
  type LogLevelName,
  type LogRecord,
  logLevel,
} from "../../src/logging/log.ts";
import { captureLogs, printed } from "../support/fake-log-sink.ts";

const LEVELS = ["error", "warning", "info", "debug", "io"] as const;
const log = getLogger("test.logger");
const logAll = () => {
  for (const level of LEVELS) log[level](`at ${level}`);
};

test("getLogger makes records with time, level, name and message", (t) => {
  const records = captureLogs(t);
  const before = Date.now();
  log.warning("careful");
  const [{ time, ...rest }] = records as [LogRecord];
  assert.deepEqual(rest, { level: "warning", logger: "test.logger", message: "careful" });
  assert.ok(time >= before && time <= Date.now());
});

test("addLogSink gives a sink records of its level and of more important ones", () => {
  for (const [index, level] of LEVELS.entries()) {
    const seen: string[] = [];
    const detach = addLogSink((record) => seen.push(record.level), LogLevel[level]);
    logAll();
    detach();
    logAll();
    assert.deepEqual(seen, LEVELS.slice(0, index + 1), level);
  }
  const seen: string[] = [];
  const detach = addLogSink((record) => seen.push(record.level), LogLevel.none);
  logAll();
  detach();
  assert.deepEqual(seen, []);
});

test("addLogSink gives every sink the records that it asked for, however many sinks there are", () => {
  const seen = { quiet: [] as string[], chatty: [] as string[] };
  const detachQuiet = addLogSink((record) => seen.quiet.push(record.level), LogLevel.error);
  const detachChatty = addLogSink((record) => seen.chatty.push(record.level), LogLevel.io);
  logAll();
  detachChatty();
  logAll();
  detachQuiet();
  assert.deepEqual(seen, { quiet: ["error", "error"], chatty: [...LEVELS] });
});

test("addLogSink takes the same function twice as two sinks", () => {
  const seen: string[] = [];
  const sink = (record: LogRecord) => void seen.push(record.message);
  const detach = [addLogSink(sink), addLogSink(sink)];
  log.info("twice");
  detach[0]?.();
  log.info("once");
  detach[1]?.();
  detach[1]?.();
  assert.deepEqual(seen, ["twice", "twice", "once"]);
});

test("isEnabled and isLogEnabled say whether a record would reach anyone", () => {
  assert.ok(LEVELS.every((level) => !log.isEnabled(level) && !isLogEnabled(LogLevel[level])));
  const detach = addLogSink(() => undefined, LogLevel.info);
  assert.deepEqual(
    LEVELS.map((level) => log.isEnabled(level)),
    [true, true, true, false, false],
  );
  assert.deepEqual(
    LEVELS.map((level) => isLogEnabled(LogLevel[level])),
    [true, true, true, false, false],
  );
  detach();
  assert.equal(log.isEnabled("error"), false);
});

test("logLevel is warning while nobody listens, and otherwise the level of the most talkative sink", () => {
  assert.equal(logLevel(), LogLevel.warning);
  const levels: LogLevelName[] = ["error", "debug", "info"];
  const detach = levels.map((level) => addLogSink(() => undefined, LogLevel[level]));
  assert.equal(logLevel(), LogLevel.debug);
  for (const each of detach) each();
  assert.equal(logLevel(), LogLevel.warning);
});

test("emitRecord delivers to all sinks, and later records, even if one sink throws", (t) => {
  t.after(
    addLogSink(() => {
      throw new Error("broken sink");
    }),
  );
  const records = captureLogs(t);
  log.info("one");
  log.info("two");
  assert.deepEqual(printed(records), ["info: one", "info: two"]);
});

test("emitRecord: a record logged by a sink arrives after the current one, and no loop begins", (t) => {
  const seen: string[] = [];
  t.after(
    addLogSink(({ message }) => {
      seen.push(message);
      log.info(`about ${message}`);
    }),
  );
  const records = captureLogs(t);
  log.info("first");
  log.info("second");
  assert.deepEqual(seen, ["first", "about first", "second", "about second"]);
  assert.deepEqual(
    printed(records),
    ["first", "about first", "second", "about second"].map((text) => `info: ${text}`),
  );
});

test("emitRecord: a record logged by a sink arrives even if that sink throws", (t) => {
  t.after(
    addLogSink(({ message }) => {
      if (message.startsWith("about")) return;
      log.error(`about ${message}`);
      throw new Error("broken sink");
    }),
  );
  const records = captureLogs(t);
  log.info("first");
  assert.deepEqual(printed(records), ["info: first", "error: about first"]);
});

test("emitRecord drops a record of a level that nobody wants, without calling a sink", () => {
  const called: LogRecord[] = [];
  const detach = addLogSink((record) => called.push(record), LogLevel.warning);
  emitRecord({ time: 0, level: "info", logger: "l", message: "m" });
  detach();
  assert.deepEqual(called, []);
});

test("getLogger turns messages that are not strings into text", (t) => {
  const records = captureLogs(t);
  log.info(new Error("object") as never);
  assert.equal(records[0]?.message, "Error: object");
});

test("getLogger with isCalm only counts a flood of records", (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const records = captureLogs(t);
  const calm = getLogger("test.calm", true);
  for (let i = 0; i < 1000; i++) calm.error(`flood ${i}`);
  assert.deepEqual(
    printed(records),
    Array.from({ length: 100 }, (_, i) => `error: flood ${i}`),
  );
  calm.debug("asked for");
  calm.warning("of another level");
  records.length = 0;
  t.mock.timers.tick(1000);
  calm.error("later");
  assert.deepEqual(printed(records), ["error: … and 900 more such records within a second", "error: later"]);
  records.length = 0;
  t.mock.timers.tick(1000);
  assert.deepEqual(records, []);
});
