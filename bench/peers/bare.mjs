// The least a round trip takes in Node: bare processes that echo a small message or pass it on, without any
// protocol. Run as a child, this file is such a process: its parent is on descriptors 0 and 1.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { writeSync } from "node:fs";
import { Socket } from "node:net";
import { fileURLToPath } from "node:url";
import { isMainThread, parentPort, Worker } from "node:worker_threads";
import { intoOneBuffer, socketPair, writeNow } from "./socket-pair.mjs";

const self = fileURLToPath(import.meta.url);
const MESSAGE = Buffer.alloc(90, 7); // As long as the call of a no-op.

/**
 * A side of `count` round trips through `depth` processes, each started by the one before it; `around` goes
 * before every command.
 */
export function bareChain(count, depth, around = []) {
  return side(count, "plain", depth, around);
}

/** The same through processes in which a Worker reads and passes on; in the last one the main thread answers. */
export function bareThreads(count, depth = 1, around = []) {
  return side(count, "threads", depth, around);
}

async function side(count, kind, depth, around) {
  let onAnswer;
  const ready = new Promise((resolve) => {
    onAnswer = resolve;
  });
  const { child, send, end } = await startNext(kind, depth, around, () => onAnswer());
  const ended = once(child, "close");
  await ready;
  const run = async () => {
    const start = performance.now();
    for (let at = 0; at < count; at++) {
      await new Promise((resolve) => {
        onAnswer = resolve;
        send(MESSAGE);
      });
    }
    return performance.now() - start;
  };
  const close = async () => {
    end();
    await ended;
  };
  return { run, close };
}

async function startNext(kind, depth, around, onBytes) {
  const [ours, theirs] = await socketPair(onBytes);
  const [command, ...args] = [...around, process.execPath, self, kind, String(depth), ...around];
  const child = spawn(command, args, { stdio: [theirs, theirs, "inherit"] });
  theirs.destroy();
  return { child, send: (bytes) => writeNow(ours, bytes), end: () => ours.end() };
}

/** Whatever comes from the parent goes to `onBytes`; when it closes, so does this process. */
function readParent(onBytes) {
  new Socket({ fd: 0, readable: true, writable: false, onread: intoOneBuffer(onBytes) })
    .on("end", () => process.exit())
    .on("error", () => process.exit())
    .resume();
}

const answer = (bytes) => writeSync(1, bytes);

/** Starts the next process, and passes on what comes from either side. */
async function passOn([kind, depth, ...around]) {
  const next = await startNext(kind, depth - 1, around, answer);
  readParent(next.send);
}

const role = process.argv.slice(2);
const [kind, depth] = role;
if (isMainThread && process.argv[1] !== self) {
  // Imported by a bench.
} else if (isMainThread && kind === "threads") {
  new Worker(self, { argv: role }).on("message", answer).on("exit", () => process.exit());
} else if (Number(depth) > 1) {
  await passOn(role);
} else {
  const reply = isMainThread ? answer : (bytes) => parentPort.postMessage(Uint8Array.from(bytes));
  readParent(reply);
  reply(MESSAGE); // The whole chain is there.
}
