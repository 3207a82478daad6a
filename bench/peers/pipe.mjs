// How fast bytes go from one Node process to another that does nothing but count them.
import { spawn } from "node:child_process";
import { once } from "node:events";

const PIECE = Buffer.alloc(1 << 20, 7);

/** Writes a byte for every `mebibytes` MiB that have come. */
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

/** The same, but each time all bytes are kept in new memory. */
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

/**
 * A side that copies a Buffer of `mebibytes` MiB, as is necessary if its owner may change it, and sends the copy
 * to a child that keeps it.
 */
export function barePipeOfCopies(mebibytes) {
  const data = Buffer.alloc(mebibytes << 20);
  return pipeTo(COLLECTOR(mebibytes), mebibytes, () => {
    const copy = Buffer.from(data);
    return (at) => copy.subarray(at * PIECE.length, (at + 1) * PIECE.length);
  });
}

/** A side that sends `mebibytes` MiB through the pipe of one child. */
export function barePipe(mebibytes) {
  return pipeTo(COUNTER(mebibytes), mebibytes, () => () => PIECE);
}

/** `prepare` begins each run, and returns the function that gives its pieces. */
function pipeTo(program, count, prepare) {
  const child = spawn(process.execPath, ["-e", program], { stdio: ["pipe", "pipe", "inherit"] });
  const ended = once(child, "close");
  const run = async () => {
    const start = performance.now();
    const arrived = once(child.stdout, "data");
    const pieceAt = prepare();
    for (let at = 0; at < count; at++) {
      if (!child.stdin.write(pieceAt(at))) await once(child.stdin, "drain");
    }
    await arrived;
    return performance.now() - start;
  };
  const close = async () => {
    child.stdin.end();
    await ended;
  };
  return { run, close };
}
