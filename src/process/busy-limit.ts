import { Worker } from "node:worker_threads";

/** How often this thread shows that it is not blocked. */
const BEAT_MS = 1000;
/** How many beats later the process is killed, because a system call cannot be interrupted. */
const KILL_BEATS = 10;

/**
 * What the other thread runs. It counts its own beats instead of asking a clock, because both threads stand still
 * while the process is stopped. The first slot of `state` holds the beats of the first thread. The second holds 1
 * while the code of that thread is being interrupted, and 2 afterwards. `lastWords` is written before that,
 * because Node ends by itself if a timer called the code.
 */
const WATCHER = `
const { Session } = require("node:inspector");
const { writeSync } = require("node:fs");
const { shared, beatMs, limitBeats, killBeats, lastWords } = require("node:worker_threads").workerData;
const state = new Int32Array(shared);
let seen = -1;
let missed = 0;
setInterval(() => {
  const beats = Atomics.load(state, 0);
  missed = beats === seen ? missed + 1 : 0;
  seen = beats;
  if (missed === limitBeats) {
    writeSync(2, lastWords);
    Atomics.store(state, 1, 1);
    const session = new Session();
    session.connectToMainThread();
    session.post("Runtime.terminateExecution");
    session.disconnect();
    Atomics.store(state, 1, 2);
  } else if (missed === limitBeats + killBeats) process.kill(process.pid, "SIGKILL");
}, beatMs);
`;

/**
 * Does work that runs somebody else's code in this thread. If that code blocks the thread for `limitMs`, as an
 * endless loop does, this writes `lastWords` to stderr and ends the program with `status`; by SIGKILL if the code
 * is in a system call.
 */
export async function withBusyLimit<T>(
  work: () => Promise<T>,
  limitMs: number,
  lastWords: string,
  status: number,
  beatMs: number = BEAT_MS,
): Promise<T> {
  const shared = new SharedArrayBuffer(8);
  const state = new Int32Array(shared);
  const limitBeats = Math.ceil(limitMs / beatMs);
  const workerData = { shared, beatMs, limitBeats, killBeats: KILL_BEATS, lastWords: `${lastWords}\n` };
  // Without options and environment, so that the thread does not run hooks of the user.
  const watcher = new Worker(WATCHER, { eval: true, execArgv: [], env: {}, workerData });
  watcher.unref();
  // Without threads, or without an inspector, there is no limit.
  watcher.on("error", () => undefined);
  const beat = setInterval(() => {
    Atomics.add(state, 0, 1);
    // By the end of this turn, this thread knows that the session is over. Until then, an exit would print that
    // Node waits for the debugger.
    if (Atomics.load(state, 1) === 2) setImmediate(() => process.exit(status));
  }, beatMs);
  try {
    return await work();
  } finally {
    // The code was interrupted, and the next beats end the program.
    if (Atomics.load(state, 1) !== 0) await new Promise(() => undefined);
    clearInterval(beat);
    void watcher.terminate();
  }
}
