import { fstatSync, write as writeFile } from "node:fs";
import { connect, Socket } from "node:net";
import type { Writable } from "node:stream";
import { decodeSshFrames, encodeSshFrame, SshFrame, type SshHello, writeSshFrame } from "./ssh-frames.ts";

/** ssh's own code for whatever is not the command's. */
const FAILURE = 255;
/** How long to wait before trying again to write to somebody else's pipe that is full. */
const RETRY_MS = 10;

/**
 * The `ssh` that the tool starts: passes its arguments and streams to the program that listens at `socketPath`. It is bundled by
 * scripts/build-payload.mjs and written beside that socket.
 */
export async function main({ socketPath, nonce }: { socketPath: string; nonce: string }): Promise<void> {
  const socket = connect(socketPath);
  socket.on("error", () => undefined); // its end is seen below
  const stdout = ownStdout();
  // The tool reads no more: what follows would go nowhere.
  stdout.on("error", () => process.exit(FAILURE));
  const hello: SshHello = { nonce, argv: process.argv.slice(2) };
  socket.write(encodeSshFrame(SshFrame.HELLO, JSON.stringify(hello)));
  void sendStdin(socket);
  try {
    for await (const [type, body] of decodeSshFrames(socket)) {
      if (type === SshFrame.STDOUT) await write(stdout, body);
      else if (type === SshFrame.STDERR) await writeStderr(body);
      else if (type === SshFrame.EXIT) process.exit(body[0]);
    }
  } catch {
    // As below.
  }
  await writeStderr(Buffer.from("mitogen ssh: the program that runs this tool is gone\n"));
  process.exit(FAILURE);
}

async function sendStdin(socket: Socket): Promise<void> {
  try {
    for await (const bytes of process.stdin) await writeSshFrame(socket, SshFrame.STDIN, bytes);
  } catch {
    // A stdin that cannot be read is an empty one.
  }
  socket.write(encodeSshFrame(SshFrame.STDIN_END));
}

/** Not `process.stdout` for pipes and sockets: this one never blocks, and stdin must be read meanwhile. */
function ownStdout(): Writable {
  const stat = fstatSync(1);
  if (!stat.isFIFO() && !stat.isSocket()) return process.stdout;
  return new Socket({ fd: 1, readable: false, writable: true });
}

function write(stream: Writable, bytes: Uint8Array): Promise<void> {
  return new Promise((resolve, reject) => {
    stream.write(bytes, (error) => (error ? reject(error) : resolve()));
  });
}

/** By descriptor: it is the tool's too, and a stream would make it non-blocking for both. Never rejects. */
function writeStderr(bytes: Buffer): Promise<void> {
  return new Promise((resolve) => {
    const attempt = (left: Buffer): void => {
      if (left.length === 0) {
        resolve();
        return;
      }
      writeFile(2, left, (error, count) => {
        if (error === null) attempt(left.subarray(count));
        else if (error.code === "EAGAIN") setTimeout(attempt, RETRY_MS, left);
        else resolve();
      });
    };
    attempt(bytes);
  });
}
