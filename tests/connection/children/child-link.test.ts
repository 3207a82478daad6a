import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { ChildLink } from "../../../src/connection/children/child-link.ts";
import { ToolProcess } from "../../../src/connection/children/tool-process.ts";
import { Encoding, encodeFrame } from "../../../src/wire/frame.ts";
import { checkLeaks } from "../../support/leak-check.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";

// A link does not keep a program alive, so this timer does. It ends before the leak check, which looks at timers
// too.
let hold: NodeJS.Timeout;
before(() => {
  hold = setInterval(() => undefined, 60_000);
});
after(() => clearInterval(hold));

checkLeaks();

const NONCE = "0123456789abcdef";
const MIB = 1024 * 1024;
const MAX_BYTES = 8 * MIB;

/**
 * A link to a child that does not read until it gets SIGCONT, with so much sent to it that the link asks the
 * sender to wait.
 */
function fullLink(): { link: ChildLink; tool: ToolProcess } {
  // Its output stays open as descriptor 3, because the link ends with it.
  const tool = new ToolProcess(["sh", "-c", "exec cat 3>&1 > /dev/null"]);
  process.kill(tool.pid as number, "SIGSTOP");
  const link = new ChildLink("child", { tool, nonce: NONCE }, MAX_BYTES, true);
  link.open({ onFrame: () => undefined, onClosed: () => undefined });
  const addresses = { dstId: 1, srcId: 0, authId: 0, handle: 2000, replyTo: 0 };
  const body = [Buffer.alloc(MAX_BYTES)];
  assert.equal(link.send({ encoding: Encoding.RAW, ...addresses, body }), false);
  return { link, tool };
}

test("ChildLink.drained resolves when little is queued, for all waiters, and at once from then on", async () => {
  const { link, tool } = fullLink();
  const waits = [link.drained(), link.drained()];
  process.kill(tool.pid as number, "SIGCONT");
  for (const wait of waits) {
    await wait;
    assert.ok(link.queuedBytes < MIB, `${link.queuedBytes} bytes are queued`);
  }
  await link.drained();
  await link.end(0);
});

test("ChildLink.drained resolves when the link ends, and at once from then on", async () => {
  const { link, tool } = fullLink();
  const wait = link.drained();
  tool.stdout.destroy();
  await wait;
  assert.ok(link.queuedBytes > MIB, `${link.queuedBytes} bytes are queued`);
  await link.drained();
  process.kill(tool.pid as number, "SIGKILL");
  await link.end(0);
});

test("ChildLink that is paused notices the end of its process, and delivers the frames sent before", async () => {
  const tool = new ToolProcess(["cat"]);
  const link = new ChildLink("child", { tool, nonce: NONCE }, MAX_BYTES, true);
  const frames: number[] = [];
  const closed = new Promise<string>((resolve) =>
    link.open({ onFrame: ({ handle }) => frames.push(handle), onClosed: resolve }),
  );
  link.pause();
  const addresses = { dstId: 1, srcId: 0, authId: 0, replyTo: 0 };
  for (const handle of [2000, 2001]) link.send({ encoding: Encoding.RAW, ...addresses, handle, body: [] });
  link.close();
  assert.match(await closed, /^child: disconnected, the process exited with code 0$/);
  assert.deepEqual(frames, [2000, 2001]);
  await link.end(0);
});

test("ChildLink that is paused reads no more than a pipe holds after its process has exited", async (t) => {
  const path = join(temporaryFolder(t), "frames");
  const frame = { encoding: Encoding.RAW, dstId: 1, srcId: 0, authId: 0, handle: 2000, replyTo: 0 };
  writeFileSync(path, Buffer.concat(encodeFrame({ ...frame, body: [Buffer.alloc(MIB)] })));
  const tool = new ToolProcess(["sh", "-c", 'while cat "$0"; do :; done & exit 0', path]);
  const link = new ChildLink("child", { tool, nonce: NONCE }, MAX_BYTES, true);
  link.open({ onFrame: () => undefined, onClosed: () => undefined });
  link.pause();
  await tool.exited;
  while (link.traffic.bytesReceived <= MIB) await pause(10);
  await pause(300);
  assert.ok(link.traffic.bytesReceived < 2 * MIB, `${link.traffic.bytesReceived} bytes were read`);
  await link.end(0);
});

test("ChildLink takes the last line of a child that lost its broker thread for the reason, wherever it cuts a frame", async () => {
  const frame = { encoding: Encoding.RAW, dstId: 1, srcId: 0, authId: 0, handle: 2000, replyTo: 0 };
  const bytes = Buffer.concat(encodeFrame({ ...frame, body: [Buffer.from("of some length\n")] }));
  for (let cut = 0; cut <= bytes.length; cut++) {
    const link = new ChildLink("child", { tool: new ToolProcess(["cat"]), nonce: NONCE }, MAX_BYTES, true);
    let frames = 0;
    const closed = new Promise<string>((resolve) =>
      link.open({ onFrame: () => (frames += 1), onClosed: resolve }),
    );
    link.receive(
      Buffer.concat([bytes, bytes.subarray(0, cut), Buffer.from(`\n${NONCE}:F out of luck\nat x\n`)]),
    );
    link.close();
    assert.equal(await closed, "child: out of luck\nat x");
    assert.equal(frames, cut === bytes.length ? 2 : 1);
    await link.end(0);
  }
});
