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
  return side(count, ["hop", depth, ...around], around);
}

/** A side of `count` round trips to a process in which a Worker reads and the main thread answers. */
export function bareThreads(count) {
  return side(count, ["threads"], []);
}

async function side(count, role, around) {
  let onAnswer;
  const ready = new Promise((resolve) => {
    onAnswer = resolve;
  });
  const { child, send, end } = await startNext(role, around, () => onAnswer());
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

async function startNext(role, around, onBytes) {
  const [ours, theirs] = await socketPair(onBytes);
  const [command, ...args] = [...around, process.execPath, self, ...role.map(String)];
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

if (!isMainThread) {
  readParent((bytes) => parentPort.postMessage(Uint8Array.from(bytes)));
  parentPort.postMessage(MESSAGE);
} else if (process.argv[1] === self) {
  const [role, depth, ...around] = process.argv.slice(2);
  if (role === "threads") new Worker(self).on("message", answer).on("exit", () => process.exit());
  else if (Number(depth) > 1) {
    const next = await startNext(["hop", depth - 1, ...around], around, answer);
    readParent(next.send);
  } else {
    readParent(answer);
    answer(MESSAGE); // All of the chain is there.
  }
}
