import assert from "node:assert/strict";
import { test } from "node:test";
import { WorkEvents } from "../../../src/cli/up/work-events.ts";
import type { FleetEvent } from "../../../src/fleet/result.ts";

const line = (text: string): FleetEvent => ({ type: "output", host: "a", stream: "stdout", text });
const RESULT: FleetEvent = { type: "result", result: { host: "a", status: "ok", value: 1, durationMs: 1 } };

/** Adds lines until the reader is behind. */
function fill(events: WorkEvents): { count: number; room: Promise<void> } {
  for (let count = 1; ; count++) {
    const room = events.add(line("x".repeat(1000)));
    if (room !== undefined) return { count, room };
    assert.ok(count < 1000);
  }
}

test("WorkEvents lets the emitter wait while the reader is behind, and no longer", async () => {
  const events = new WorkEvents();
  const { count, room } = fill(events);
  assert.equal(events.add(line("one more")), room);
  let hasRoom = false;
  void room.then(() => {
    hasRoom = true;
  });
  const messages = events.messages();
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(hasRoom, false);
  for (let i = 0; i < count; i++) assert.equal((await messages.next()).value?.type, "event");
  await room;
  assert.equal(events.add(line("there is room")), undefined);
  await messages.return();
});

test("WorkEvents lets nobody wait for a reader that has gone", async () => {
  const events = new WorkEvents();
  const { room } = fill(events);
  const messages = events.messages();
  await messages.next();
  await messages.return();
  await room;
});

test("WorkEvents counts the lines beyond its bound, and delivers the result all the same", async () => {
  const events = new WorkEvents();
  const total = 20_000;
  for (let i = 0; i < total; i++) void events.add(line("x".repeat(1000)));
  void events.add(RESULT);
  events.feed.end();
  const found: unknown[] = [];
  for await (const message of events.messages()) found.push(message);
  const last = found.slice(-2);
  assert.ok(found.length < 17_000, String(found.length));
  assert.deepEqual(last[0], { type: "lost", lines: total - (found.length - 2) });
  assert.equal((last[1] as { type: string }).type, "result");
});
