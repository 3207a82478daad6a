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
