import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { Socket } from "node:net";
import { getLogger } from "../core/log.ts";
import { descendants, isRunning, type ProcessInfo } from "../core/process-tree.ts";
import { noteLimits } from "../core/system-limits.ts";
import type { Terminal } from "./terminal.ts";

/** How a process ended; both null when it was never started. */
export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** How a tool is started. */
export interface ToolSettings {
  /** Gives it a controlling terminal. */
  readonly terminal?: Terminal | undefined;
  /** It shall not find the terminal that this program was started from: its questions would appear there. */
  readonly isDetached?: boolean | undefined;
}

const log = getLogger("mitogen.connect");

/** How long SIGTERM may take before SIGKILL. */
const SIGTERM_MS = 1000;
/** How often is looked for processes that are not our own children: of their end the kernel tells only their parent. */
const POLL_MS = 20;
/** How long after the exit the streams may stay open before they are closed: a daemon may hold them for ever. */
const DRAIN_MS = 250;

/**
 * The process a connection runs over: the child's own shell, or a tool such as ssh. It never keeps this program alive, and when this
 * program exits while it is still needed to end something, it is killed.
 */
export class ToolProcess {
  /** The data streams: the payload, then the protocol. */
  readonly stdin: Socket;
  readonly stdout: Socket;
  /** Where answers are typed: the terminal's keyboard, or else stdin. */
  readonly promptIn: Socket;
  /** Where the tool asks and complains: the terminal's screen, or else its stderr. */
  readonly promptOut: Socket;
  /** Resolves when it has ended; rejects when it could not be started. */
  readonly exited: Promise<Exit>;
  readonly #process: ChildProcess;
  readonly #open: Set<Socket>;
  #exit: Exit | undefined;
  #isEnding = false;

  /** Starts it; like `spawn`, throws only for malformed arguments. */
  constructor(argv: readonly string[], { terminal, isDetached = false }: ToolSettings = {}) {
    noteLimits();
    const [command, ...args] = (terminal?.wrap(argv) ?? argv) as [string, ...string[]];
    const child = spawn(command, args, {
      stdio: terminal === undefined ? ["pipe", "pipe", "pipe"] : ["pipe", "pipe", "ignore", "pipe", "pipe"],
      env: terminal?.env() ?? process.env,
      detached: isDetached,
    });
    // First of all: where there are no descriptors left this event is all there is, and no stream.
    this.exited = new Promise<Exit>((resolve, reject) => {
      child.on("error", (error) => {
        if (child.pid === undefined) reject(error);
      });
      child.once("exit", (code, signal) => {
        this.#exit = { code, signal };
        if (!this.#isEnding) live.delete(this);
        resolve(this.#exit);
      });
    });
    this.exited.catch(() => undefined); // whoever needs it looks
    const streams =
      (child.stdio as unknown as Socket[] | undefined) ?? Array.from({ length: 5 }, unconnected);
    const [keyboard, screen, stderr, dataIn, dataOut] = streams as [Socket, Socket, Socket, Socket, Socket];
    this.#process = child;
    this.stdin = terminal === undefined ? keyboard : dataIn;
    this.stdout = terminal === undefined ? screen : dataOut;
    this.promptIn = keyboard;
    this.promptOut = terminal === undefined ? stderr : screen;
    child.unref();
    for (const stream of new Set([this.stdin, this.stdout, this.promptIn, this.promptOut])) {
      stream.unref?.();
      // A pipe breaks when its other end dies; the exit tells the story.
      stream.on("error", () => undefined);
    }
    this.#open = new Set([this.stdout, this.promptOut]);
    for (const stream of this.#open) stream.once("close", () => this.#open.delete(stream));
    if (child.pid !== undefined) track(this);
  }

  get pid(): number | undefined {
    return this.#process.pid;
  }

  get exit(): Exit | undefined {
    return this.#exit;
  }

  /** Resolves when it has ended and its output has been read, or nearly so: late output of a daemon is not waited for. */
  async drained(): Promise<void> {
    const closed = Promise.all([...this.#open].map((stream) => once(stream, "close")));
    closed.catch(() => undefined);
    await this.exited;
    await within(closed, DRAIN_MS);
    this.stdout.destroy();
    this.promptOut.destroy();
  }

  /** What the tool says of itself, rather than the child. */
  get stderr(): Socket {
    return this.promptOut;
  }

  /** Takes its input away: most tools end then. */
  hangUp(): void {
    this.stdin.destroy();
    this.promptIn.destroy();
  }

  /** From now on it, and all below it, is not killed when this program exits: it ends by itself when its input does. */
  leave(): void {
    live.delete(this);
  }

  /**
   * Lets what it has started live on. With `graceMs` it is a helper, which has nothing left to do: it is ended itself, and nothing
   * below it, if it has not ended by then. SIGKILL, for sudo and su pass any other signal on.
   */
  async abandon(graceMs?: number): Promise<void> {
    this.leave();
    this.hangUp();
    if (graceMs === undefined || this.pid === undefined || (await within(this.exited, graceMs))) return;
    kill(this.pid, "SIGKILL");
  }

  /**
   * Sees to it that it ends, with everything below it: by itself within `graceMs`, by SIGTERM, by SIGKILL. Resolves when it is
   * reaped; never rejects.
   */
  async end(graceMs: number): Promise<void> {
    if (this.pid === undefined || this.#exit !== undefined) return;
    if (await within(this.exited, graceMs)) return;
    this.#isEnding = true;
    // Looked up now: once a shell in the middle has ended, what it started is nobody's descendant any more.
    const tree = descendants(this.pid);
    this.signalTree("SIGTERM", tree);
    const deadline = Date.now() + SIGTERM_MS;
    while ((this.#exit === undefined || tree.some(isRunning)) && Date.now() < deadline) await pause(POLL_MS);
    this.signalTree("SIGKILL", tree);
    if (!(await within(this.exited, SIGTERM_MS)))
      log.warning(`Process ${this.pid} could not be ended; it may run as another user`);
    live.delete(this);
  }

  /** Signals it and all below it. What runs as another user cannot be signalled; it ends with its pipes. */
  signalTree(signal: NodeJS.Signals, tree: readonly ProcessInfo[] = descendants(this.pid ?? 0)): void {
    if (this.pid === undefined) return;
    const pids = tree.filter(isRunning).map(({ pid }) => pid);
    if (this.#exit === undefined) pids.push(this.pid);
    for (const pid of pids) kill(pid, signal);
  }
}

/** In place of the stream of a process that was never started. */
function unconnected(): Socket {
  return new Socket();
}

function kill(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch {
    // Gone, or another user's.
  }
}

/** Does not keep the program alive. */
function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms).unref());
}

/** `exit code 3`, `signal SIGKILL`; a shell's code above 128 is the signal its command died of. */
export function printExit({ code, signal }: Exit): string {
  if (signal !== null) return `was ended by ${signal}`;
  if (code !== null && code > 128 && code < 160) return `exited with code ${code} (signal ${code - 128})`;
  return `exited with code ${code}`;
}

/** Whether `promise` settled within `ms`. The timer does not keep the program alive. */
async function within(promise: Promise<unknown>, ms: number): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<boolean>((resolve) => {
    timer = setTimeout(() => resolve(false), ms).unref();
  });
  const settled = promise.then(
    () => true,
    () => true,
  );
  const isSettled = await Promise.race([settled, late]);
  clearTimeout(timer);
  return isSettled;
}

/** Processes that would outlive this program, should it exit now: those that are not yet children of ours. */
const live = new Set<ToolProcess>();
let isWatchingExit = false;

function track(tool: ToolProcess): void {
  live.add(tool);
  if (isWatchingExit) return;
  isWatchingExit = true;
  process.once("exit", () => {
    for (const each of live) each.signalTree("SIGKILL");
  });
}
