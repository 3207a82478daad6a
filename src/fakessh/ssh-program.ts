import { fstatSync, write as writeFile } from "node:fs";
import { connect, Socket } from "node:net";
import type { Writable } from "node:stream";
import { decodeSshFrames, encodeSshFrame, SshFrame, type SshHello, writeSshFrame } from "./ssh-frames.ts";

/** ssh's exit code for failures of its own. */
const FAILURE = 255;
/** How long to wait before the next try to write to a full pipe of another process. */
const RETRY_MS = 10;

/**
 * The `ssh` that the tool starts. It passes its arguments and streams to the program that listens at
 * `socketPath`. scripts/build-payload.mjs bundles it, and the program writes it beside that socket.
 */
export async function main({ socketPath, nonce }: { socketPath: string; nonce: string }): Promise<void> {
  // rsync ends its ssh with this signal, at which node would begin to listen for a debugger.
  process.on("SIGUSR1", () => process.exit(FAILURE));
  const socket = connect(socketPath);
  socket.on("error", () => undefined); // its end is handled below
  const stdout = ownStdout();
  // The tool reads no more, so further output would go nowhere.
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
    // The connection is lost: handled below.
  }
  await writeStderr(Buffer.from("mitogen ssh: the program that runs this tool is gone\n"));
  process.exit(FAILURE);
}

async function sendStdin(socket: Socket): Promise<void> {
  try {
    for await (const bytes of process.stdin) await writeSshFrame(socket, SshFrame.STDIN, bytes);
  } catch {
    // A stdin that cannot be read counts as empty.
  }
  socket.write(encodeSshFrame(SshFrame.STDIN_END));
}

/**
 * Not `process.stdout` for pipes and sockets, because this stream must never block: stdin must be read
 * meanwhile.
 */
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

/**
 * Writes to the descriptor, because the tool uses it too, and a stream would make it non-blocking for both.
 * Never rejects.
 */
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
