import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { realpathSync } from "node:fs";
import { Socket } from "node:net";
import { getLogger } from "../../logging/log.ts";
import { endTree } from "../../process/end-tree.ts";
import { nextProcessList } from "../../process/process-list.ts";
import { reaper } from "../../process/reaper.ts";
import { checkDescriptors, SPAWN_DESCRIPTORS } from "../../process/system-limits.ts";
import type { Terminal } from "../prompts/terminal.ts";

/** How a process ended; both null when it was never started. */
export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** How a tool is started. */
export interface ToolSettings {
  /** Gives it a controlling terminal. */
  readonly terminal?: Terminal | undefined;
  /** A word of letters and digits in its command line that no other process has. */
  readonly mark?: string | undefined;
}

const log = getLogger("mitogen.connect");

/** How long the exit of what was sent SIGKILL is waited for. */
const REAP_MS = 1000;
/** How often is looked whether what it has left in its process group has ended. */
const LEFT_POLL_MS = 200;
/** How long after the exit the streams may stay open before they are closed: a daemon may hold them for ever. */
const DRAIN_MS = 250;

/**
 * The process a connection runs over: the child's own shell, or a tool such as ssh. It never keeps this program alive, and the reaper ends
 * it when this program has ended. It leads a session of its own: it must not find the terminal that this program was started from, where
 * its questions would appear and Ctrl-C would reach it before the program decides; and the process group is how it is ended whole.
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
  /** Lets the reaper forget it. */
  #forget: () => void = () => undefined;

  /** Starts it; throws what `spawn` throws for malformed arguments, and the system's error when there are too few descriptors. */
  constructor(argv: readonly string[], { terminal, mark }: ToolSettings = {}) {
    checkDescriptors(SPAWN_DESCRIPTORS);
    // Its pid is not known yet; a signal that ends this program before it is must not leave the process alone.
    const forgetMark = mark === undefined ? () => undefined : reaper.add(`=${mark}`);
    const child = startTool(argv, terminal, forgetMark);
    // First of all: where there are no descriptors left this event is all there is, and no stream.
    this.exited = new Promise<Exit>((resolve, reject) => {
      child.on("error", (error) => {
        if (child.pid === undefined) reject(error);
      });
      child.once("exit", (code, signal) => {
        this.#exit = { code, signal };
        live.delete(this);
        void this.forgetOnceGone();
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
    if (child.pid !== undefined) this.#forget = reaper.add(`-${child.pid}`);
    forgetMark();
    if (child.pid === undefined) return;
    track(this);
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

  /** It is a child now: from here on it is not killed when this program exits, but ends by itself when its input does. */
  leave(): void {
    live.delete(this);
  }

  /**
   * Lets what it has started live on. With `graceMs` it is a helper, which has nothing left to do: it is ended itself, and nothing
   * below it, if it has not ended by then. SIGKILL, for sudo and su pass any other signal on.
   */
  async abandon(graceMs?: number): Promise<void> {
    this.leave();
    this.#forget();
    this.hangUp();
    if (graceMs === undefined || this.pid === undefined || (await within(this.exited, graceMs))) return;
    kill(this.pid, "SIGKILL");
  }

  /**
   * Sees to it that it ends, with everything below it: by itself within `graceMs`, by SIGTERM, by SIGKILL. Resolves when it is
   * reaped; never rejects.
   */
  async end(graceMs: number): Promise<void> {
    const { pid } = this;
    if (pid === undefined) return;
    this.#isEnding = true;
    // Also for what no list shows, since it always starts another and ends.
    if (!(await within(this.exited, graceMs)) || kill(-pid, 0)) {
      await endTree(pid, "SIGTERM", () => this.#exit !== undefined, true);
      if (!(await within(this.exited, REAP_MS)))
        log.warning(`Process ${pid} could not be ended; it may run as another user`);
    }
    live.delete(this);
    this.#forget();
  }

  /** Ends it and its process group at once. What runs as another user cannot be signalled; it ends with its pipes. */
  kill(): void {
    if (this.pid !== undefined) kill(-this.pid, "SIGKILL");
  }

  /** The reaper is needed for as long as it has left anything in its process group; `end` knows itself. */
  private async forgetOnceGone(): Promise<void> {
    if (this.#isEnding) return;
    if (await this.isThere()) setTimeout(() => void this.forgetOnceGone(), LEFT_POLL_MS).unref();
    else this.#forget();
  }

  /** Whether it runs, or something that it has left in its process group. */
  private async isThere(): Promise<boolean> {
    const { pid } = this;
    if (pid === undefined || !kill(-pid, 0)) return false;
    // Zombies do not count: their parent may be an init that reaps nobody.
    const list = await nextProcessList();
    return list.isEmpty || list.inGroup(pid).length > 0;
  }
}

function startTool(
  argv: readonly string[],
  terminal: Terminal | undefined,
  onRefused: () => void,
): ChildProcess {
  const [command, ...args] = (terminal?.wrap(argv) ?? argv) as [string, ...string[]];
  try {
    return spawn(command, args, {
      stdio: terminal === undefined ? ["pipe", "pipe", "pipe"] : ["pipe", "pipe", "ignore", "pipe", "pipe"],
      env: terminal?.env() ?? process.env,
      cwd: startFolder(),
      detached: true,
    });
  } catch (error) {
    onRefused();
    throw error;
  }
}

/** Where it is started: a node cannot start in a directory that no longer exists. */
function startFolder(): string | undefined {
  try {
    // process.cwd() may remember what is no longer so.
    realpathSync.native(".");
    return undefined;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") return undefined;
    log.warning("The working directory of this process no longer exists; what it starts begins in /");
    return "/";
  }
}

/** In place of the stream of a process that was never started. */
function unconnected(): Socket {
  return new Socket();
}

/** False when there is no such process, or it is another user's. */
function kill(pid: number, signal: NodeJS.Signals | 0): boolean {
  try {
    return process.kill(pid, signal);
  } catch {
    return false;
  }
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
    for (const each of live) each.kill();
  });
}
