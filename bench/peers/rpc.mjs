// The least that pipelined calls take in Node: a promise per call, messages as long as those of a no-op, one
// write per turn. Run as a child, this file answers.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { Socket } from "node:net";
import { fileURLToPath } from "node:url";
import { intoOneBuffer, socketPair, writeNow } from "./socket-pair.mjs";

const self = fileURLToPath(import.meta.url);
const CALL_BYTES = 90;
const REPLY_BYTES = 27;

/** A side of `count` calls at once. */
export async function bareRpc(count) {
  const waiting = new Map();
  const split = splitter(REPLY_BYTES, (id) => {
    waiting.get(id)();
    waiting.delete(id);
  });
  const [ours, theirs] = await socketPair(split);
  const child = spawn(process.execPath, [self], { stdio: ["inherit", "inherit", "inherit", theirs] });
  theirs.destroy();
  const ended = once(child, "close");
  const batch = new Batch(ours);
  let isScheduled = false;
  const call = (_, id) =>
    new Promise((resolve) => {
      waiting.set(id, resolve);
      batch.add(id, CALL_BYTES);
      if (isScheduled) return;
      isScheduled = true;
      process.nextTick(() => {
        isScheduled = false;
        batch.flush();
      });
    });
  const run = async () => {
    const start = performance.now();
    await Promise.all(Array.from({ length: count }, call));
    return performance.now() - start;
  };
  const close = async () => {
    ours.end();
    await ended;
  };
  return { run, close };
}

/** Takes chunks cut anywhere; `onMessage` gets the first number of each message. */
function splitter(size, onMessage) {
  let rest = Buffer.alloc(0);
  return (chunk) => {
    const bytes = rest.length > 0 ? Buffer.concat([rest, chunk]) : chunk;
    let at = 0;
    for (; at + size <= bytes.length; at += size) onMessage(bytes.readUInt32BE(at));
    rest = Buffer.from(bytes.subarray(at));
  };
}

class Batch {
  #bytes = Buffer.alloc(64 * 1024);
  #end = 0;
  #socket;

  constructor(socket) {
    this.#socket = socket;
  }

  add(id, size) {
    if (this.#end + size > this.#bytes.length) this.flush();
    this.#bytes.writeUInt32BE(id, this.#end);
    this.#end += size;
  }

  flush() {
    if (this.#end > 0) writeNow(this.#socket, this.#bytes.subarray(0, this.#end));
    this.#end = 0;
  }
}

if (process.argv[1] === self) {
  const split = splitter(CALL_BYTES, (id) => batch.add(id, REPLY_BYTES));
  const onread = intoOneBuffer((bytes) => {
    split(bytes);
    batch.flush();
  });
  const socket = new Socket({ fd: 3, readable: true, writable: true, onread });
  const batch = new Batch(socket);
  socket.on("end", () => process.exit()).resume();
}
