// The least a verified copy takes in Node: a file through a pipe, with SHA-256 at both ends. Run as a child,
// this file writes the copy.
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { closeSync, copyFileSync, createReadStream, openSync, writeSync } from "node:fs";
import { Socket } from "node:net";
import { dirname, join } from "node:path";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";

const self = fileURLToPath(import.meta.url);
const PIECE_BYTES = 1 << 20;

/** A side that copies `source` to `target`; every run has a process of its own, which has started before. */
export function bareCopy(source, target) {
  let child;
  return {
    before: async () => {
      child = await startWriter([process.execPath, self, target]);
    },
    run: () => timed(() => send(child, source)),
    close: () => child?.stdin.destroy(),
  };
}

/** The same over ssh. The connect and the end are part of a run. */
export function bareCopyOverSsh(source, target, lab) {
  // The account on the other side cannot read this file.
  const script = join(dirname(source), "copy.mjs");
  copyFileSync(self, script);
  const argv = ["ssh", ...lab.args, `${lab.account.name}@${lab.host}`, "node", script, target];
  return {
    run: () =>
      timed(async () => {
        const child = await startWriter(argv);
        const ended = once(child, "close");
        await send(child, source);
        await ended;
      }),
  };
}

/** Starts a process that writes what it reads to a file. Resolves when it reads. */
async function startWriter([command, ...args]) {
  const child = spawn(command, args, { stdio: ["pipe", "pipe", "inherit"] });
  await once(child.stdout, "data");
  return child;
}

async function send({ stdin, stdout }, source) {
  const theirs = text(stdout);
  const hash = createHash("sha256");
  for await (const piece of createReadStream(source, { highWaterMark: PIECE_BYTES })) {
    const isTaken = stdin.write(piece);
    hash.update(piece);
    if (!isTaken) await once(stdin, "drain");
  }
  stdin.end();
  if ((await theirs) !== hash.digest("hex")) throw new Error("The copy differs");
}

async function timed(work) {
  const start = performance.now();
  await work();
  return performance.now() - start;
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
