// The least a verified copy takes in Node: a file through a pipe, with SHA-256 at both ends. Run as a child, this file writes it.
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { closeSync, createReadStream, openSync, writeSync } from "node:fs";
import { Socket } from "node:net";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";

const self = fileURLToPath(import.meta.url);
const PIECE_BYTES = 1 << 20;

/** A side that copies `source` to `target`; every run has a process of its own, which has started before. */
export function bareCopy(source, target) {
  let child;
  return {
    before: async () => {
      child = spawn(process.execPath, [self, target], { stdio: ["pipe", "pipe", "inherit"] });
      await once(child.stdout, "data");
    },
    run: async () => {
      const start = performance.now();
      const theirs = text(child.stdout);
      const hash = createHash("sha256");
      for await (const piece of createReadStream(source, { highWaterMark: PIECE_BYTES })) {
        const isTaken = child.stdin.write(piece);
        hash.update(piece);
        if (!isTaken) await once(child.stdin, "drain");
      }
      child.stdin.end();
      if ((await theirs) !== hash.digest("hex")) throw new Error("The copy differs");
      return performance.now() - start;
    },
    close: () => child?.stdin.destroy(),
  };
}

if (process.argv[1] === self) {
  const fd = openSync(process.argv[2], "w");
  const hash = createHash("sha256");
  const callback = (count, buffer) => {
    const piece = buffer.subarray(0, count);
    hash.update(piece);
    writeSync(fd, piece);
    return true;
  };
  const onread = { buffer: Buffer.allocUnsafeSlow(PIECE_BYTES), callback };
  new Socket({ fd: 0, readable: true, writable: false, onread })
    .on("end", () => {
      closeSync(fd);
      process.stdout.write(hash.digest("hex"));
    })
    .resume();
  process.stdout.write("!");
}
