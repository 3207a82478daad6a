// How fast bytes go from one Node process to another that does nothing but count them.
import { spawn } from "node:child_process";
import { once } from "node:events";

const PIECE = Buffer.alloc(1 << 20, 7);

/** Tells of every MiB × `mebibytes` that have come. */
const COUNTER = (mebibytes) => `
const total = ${mebibytes << 20};
let got = 0;
const callback = (count) => {
  got += count;
  if (got >= total) {
    got -= total;
    process.stdout.write("!");
  }
  return true;
};
const onread = { buffer: Buffer.alloc(1 << 20), callback };
const socket = new (require("net").Socket)({ fd: 0, readable: true, writable: false, onread });
socket.on("end", () => process.exit()).resume();`;

/** The same, but all of it is kept in memory of its own each time. */
const COLLECTOR = (mebibytes) => `
const total = ${mebibytes << 20};
let whole = Buffer.allocUnsafeSlow(total);
let got = 0;
const callback = (count, piece) => {
  piece.copy(whole, got, 0, count);
  got += count;
  if (got === total) {
    got = 0;
    whole = Buffer.allocUnsafeSlow(total);
    process.stdout.write("!");
  }
  return true;
};
const onread = { buffer: Buffer.alloc(1 << 20), callback };
const socket = new (require("net").Socket)({ fd: 0, readable: true, writable: false, onread });
socket.on("end", () => process.exit()).resume();`;

/** A side that copies a Buffer of so many MiB, as whoever sends what its owner may change must, and sends that to a child that keeps it. */
export function barePipeOfCopies(mebibytes) {
  const data = Buffer.alloc(mebibytes << 20);
  const child = spawn(process.execPath, ["-e", COLLECTOR(mebibytes)], { stdio: ["pipe", "pipe", "inherit"] });
  const ended = once(child, "close");
  const run = async () => {
    const start = performance.now();
    const kept = once(child.stdout, "data");
    const copy = Buffer.from(data);
    for (let at = 0; at < copy.length; at += PIECE.length) {
      if (!child.stdin.write(copy.subarray(at, at + PIECE.length))) await once(child.stdin, "drain");
    }
    await kept;
    return performance.now() - start;
  };
  const close = async () => {
    child.stdin.end();
    await ended;
  };
  return { run, close };
}

/** A side that sends so many MiB through the pipe of one child. */
export function barePipe(mebibytes) {
  const child = spawn(process.execPath, ["-e", COUNTER(mebibytes)], { stdio: ["pipe", "pipe", "inherit"] });
  const ended = once(child, "close");
  const run = async () => {
    const start = performance.now();
    const counted = once(child.stdout, "data");
    for (let sent = 0; sent < mebibytes; sent++) {
      if (!child.stdin.write(PIECE)) await once(child.stdin, "drain");
    }
    await counted;
    return performance.now() - start;
  };
  const close = async () => {
    child.stdin.end();
    await ended;
  };
  return { run, close };
}
