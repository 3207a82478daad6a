import { type ChildProcess, spawn } from "node:child_process";
import type { Readable, Writable } from "node:stream";
import type { CurrentCall } from "../calls/target/current-call.ts";
import { Receiver } from "../core/receiver.ts";
import type { CoreRouter } from "../core/router.ts";
import type { Sender } from "../core/sender.ts";
import { freeMemory } from "../links/free-memory.ts";
import { endTree, killTrees } from "../process/end-tree.ts";
import type { ProcessExit } from "../process/process-exit.ts";
import { checkDescriptors } from "../process/system-limits.ts";
import { piecesOf } from "../wire/pieces.ts";

/** A process to start for another context. */
export interface ProcessSpec {
  readonly argv: readonly [file: string, ...args: string[]];
  readonly cwd?: string | undefined;
  /** The whole environment. By default that of this process. */
  readonly env?: NodeJS.ProcessEnv | undefined;
  /** Whether its stdin comes from the caller. Otherwise it is empty. */
  readonly hasInput: boolean;
  /** The signal that ends it, and everything it started, when the call is given up. SIGKILL follows. */
  readonly endSignal: NodeJS.Signals;
  /** Once it has ended, its output is given up after so long a silence, or after five such times: a background process may hold it for ever. */
  readonly silenceMs?: number;
}

/** How many times `silenceMs` a background process may go on printing after the end of the command. */
const MAX_NOISY_TIMES = 5;
/** More than the pipes and streams between the command and its reader hold: who has read so much has read all of the command's own output. */
const MAX_HELD_BYTES = 2 * 1024 * 1024;

/** Both ends of two pipes, and of one by which the system says that the program cannot be started. A spawn that gets only some keeps them. */
const DESCRIPTORS = 6;

const running = new Set<number>();
let isWatchingExit = false;

/**
 * Runs a process in this one's process group, so that it ends with this process. `output` first gets the
 * Sender of its stdin, if it has input, then [1 or 2, bytes] of its stdout or stderr, no faster than the
 * reader reads. Rejects with an error if the process cannot be started, or with the reason if the call is
 * given up.
 */
export async function runProcess(
  router: CoreRouter,
  { source, signal }: CurrentCall,
  spec: ProcessSpec,
  output: Sender,
): Promise<ProcessExit> {
  const [file, ...args] = spec.argv;
  try {
    checkDescriptors(spec.hasInput ? DESCRIPTORS + 2 : DESCRIPTORS);
  } catch (error) {
    throw Object.assign(error as Error, { syscall: `spawn ${file}` });
  }
  const child = spawn(file, args, {
    stdio: [spec.hasInput ? "pipe" : "ignore", "pipe", "pipe"],
    ...(spec.cwd === undefined ? {} : { cwd: spec.cwd }),
    ...(spec.env === undefined ? {} : { env: spec.env }),
  });
  const closed = closeOf(child);
  const { stdin, stdout, stderr } = child;
  // If there are no descriptors left, there are no streams, and the error is still to come.
  if (!stdout || !stderr) return await closed;
  const progress: Progress = { bytes: 0, sending: 0, isLeft: false };
  let hasEnded = false;
  // A thread that exits leaves its process running, and the processes below.
  killAtExit(child);
  let watch: NodeJS.Timeout | undefined;
  const leave = (): void => {
    progress.isLeft = true;
    stdout.destroy();
    stderr.destroy();
  };
  child.once("exit", () => {
    hasEnded = true;
    const isRead = (): boolean =>
      progress.sending === 0 && stdout.readableLength === 0 && stderr.readableLength === 0;
    if (spec.silenceMs !== undefined) watch = watchSilence(progress, spec.silenceMs, isRead, leave);
  });
  const input = stdin === null ? undefined : new Receiver<Uint8Array>(router, { respondent: source });
  const work: Promise<unknown>[] = [];
  try {
    if (input !== undefined) {
      work.push(output.send(input.toSender()));
      void feed(input, stdin as Writable, closed);
    }
    work.push(forward(stdout, 1, output, progress), forward(stderr, 2, output, progress));
    const [exit] = await Promise.race([Promise.all([closed, ...work]), abortOf(signal)]);
    return exit;
  } finally {
    clearInterval(watch);
    input?.close();
    output.close();
    if (child.pid !== undefined && !hasEnded) void endTree(child.pid, spec.endSignal, () => hasEnded);
    leave();
  }
}

/** Kills a process when this thread exits, unless it has ended by then. */
function killAtExit(child: ChildProcess): void {
  if (child.pid === undefined) return;
  if (!isWatchingExit) process.once("exit", () => killTrees(running));
  isWatchingExit = true;
  running.add(child.pid);
  child.once("exit", () => running.delete(child.pid as number));
}

/** The state of a process's output. */
interface Progress {
  bytes: number;
  sending: number;
  isLeft: boolean;
}

/** Resolves when the process has ended and nobody holds its output any more. */
function closeOf(child: ChildProcess): Promise<ProcessExit> {
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.once("close", (code: number | null, signal: NodeJS.Signals | null) => resolve({ code, signal }));
  });
}

/**
 * Leaves the output of a command that has ended once it is silent, or once others alone have been printing for long enough. A slow reader gets all
 * that the command itself has printed.
 */
function watchSilence(
  progress: Progress,
  silenceMs: number,
  isRead: () => boolean,
  leave: () => void,
): NodeJS.Timeout {
  const first = progress.bytes;
  let seen = first;
  let times = 0;
  let isComplete = false;
  return setInterval(() => {
    times += 1;
    isComplete ||= isRead() || progress.bytes - first > MAX_HELD_BYTES;
    const isSilent = progress.bytes === seen && progress.sending === 0;
    if (isSilent || (isComplete && times >= MAX_NOISY_TIMES)) leave();
    seen = progress.bytes;
  }, silenceMs);
}

function abortOf(signal: AbortSignal): Promise<never> {
  return new Promise((_resolve, reject) => {
    if (signal.aborted) reject(signal.reason);
    else signal.addEventListener("abort", () => reject(signal.reason), { once: true });
  });
}

/** Forwards a stream. Reads only as fast as the other side reads, so the bytes in between are bounded. */
async function forward(stream: Readable, fd: 1 | 2, output: Sender, progress: Progress): Promise<void> {
  try {
    for await (const bytes of stream) {
      progress.bytes += (bytes as Buffer).length;
      progress.sending += 1;
      for (const piece of piecesOf(bytes, output.router.maxMessageBytes)) await output.send([fd, piece]);
      progress.sending -= 1;
      freeMemory(bytes); // sending has copied it
    }
  } catch (error) {
    // Newer Nodes throw if the stream is destroyed.
    if (!progress.isLeft) throw error;
  }
}

async function feed(from: Receiver<Uint8Array>, stdin: Writable, closed: Promise<unknown>): Promise<void> {
  stdin.on("error", () => from.close()); // it reads no more; its exit gives the reason
  try {
    for await (const message of from) {
      const bytes = message.decode();
      // Node 12 drops the callbacks of a destroyed stream.
      const written = new Promise<void>((resolve) => {
        stdin.write(bytes, () => {
          freeMemory(bytes);
          resolve();
        });
      });
      await Promise.race([written, closed]);
    }
  } catch {
    // It could not be started, or was sent something other than bytes. Treated as an end.
  }
  stdin.end();
}
