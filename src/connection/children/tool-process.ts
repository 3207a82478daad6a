import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { realpathSync } from "node:fs";
import { Socket } from "node:net";
import { getLogger } from "../../logging/log.ts";
import { endTree } from "../../process/end-tree.ts";
import type { ProcessExit } from "../../process/process-exit.ts";
import { nextProcessList } from "../../process/process-list.ts";
import { reaper } from "../../process/reaper.ts";
import { checkDescriptors, SPAWN_DESCRIPTORS } from "../../process/system-limits.ts";
import type { Terminal } from "../prompts/terminal.ts";

/** How a tool is started. */
export interface ToolSettings {
  /** The terminal that becomes the tool's controlling terminal. */
  readonly terminal?: Terminal | undefined;
  /** A word of letters and digits that appears in the command line of this process and of no other. */
  readonly mark?: string | undefined;
}

const log = getLogger("mitogen.connect");

/** How long to wait for the exit of a process that was sent SIGKILL. */
const REAP_MS = 1000;
/** How often to check whether the processes that it left in its process group have ended. */
const LEFT_POLL_MS = 200;
/**
 * How long after the exit the streams may stay open before they are closed. A daemon may hold them open for
 * ever.
 */
const DRAIN_MS = 250;

/**
 * The process a connection runs over: the child's own shell, or a tool such as ssh. It never keeps this
 * program alive, and the reaper ends it after this program has ended. It leads a session of its own, for two
 * reasons. On this program's terminal its questions would appear, and Ctrl-C would reach it before the
 * program decides. And its process group lets this program end all of it.
 */
export class ToolProcess {
  /** The data streams: the payload, then the protocol. */
  readonly stdin: Socket;
  readonly stdout: Socket;
  /** Where answers are typed: the terminal's keyboard, or stdin if there is no terminal. */
  readonly promptIn: Socket;
  /** Where the tool asks and complains: the terminal's screen, or stderr if there is no terminal. */
  readonly promptOut: Socket;
  /** Resolves when the process has ended. Rejects if it could not be started. */
  readonly exited: Promise<ProcessExit>;
  readonly #process: ChildProcess;
  readonly #open: Set<Socket>;
  #exit: ProcessExit | undefined;
  #isEnding = false;
  /** Tells the reaper that it need not end this process. */
  #forget: () => void = () => undefined;

  /**
   * Starts the process. Throws the errors of `spawn` for malformed arguments, and the system's error if there
   * are too few descriptors.
   */
  constructor(argv: readonly string[], { terminal, mark }: ToolSettings = {}) {
    checkDescriptors(SPAWN_DESCRIPTORS);
    // The pid is not known yet. If a signal ends this program before it is, the reaper finds the process by
    // its mark.
    const forgetMark = mark === undefined ? () => undefined : reaper.add(`=${mark}`);
    const child = startTool(argv, terminal, forgetMark);
    // Registered before anything else: if there are no descriptors left, this event is all that happens, and
    // there are no streams.
    this.exited = new Promise<ProcessExit>((resolve, reject) => {
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
    this.exited.catch(() => undefined); // a caller that needs it handles the rejection
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
      // A pipe breaks when its other end dies. The exit of the process gives the reason.
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

  get exit(): ProcessExit | undefined {
    return this.#exit;
  }

  /**
   * Resolves when the process has ended and its output has been read. Does not wait for late output of a
   * daemon.
   */
  async drained(): Promise<void> {
    const closed = Promise.all([...this.#open].map((stream) => once(stream, "close")));
    closed.catch(() => undefined);
    await this.exited;
    await within(closed, DRAIN_MS);
    this.stdout.destroy();
    this.promptOut.destroy();
  }

  /** The messages of the tool itself, rather than those of the child. */
  get stderr(): Socket {
    return this.promptOut;
  }

  /** Closes its input. Most tools end then. */
  hangUp(): void {
    this.stdin.destroy();
    this.promptIn.destroy();
  }

  /**
   * Called when the process has become a child. From now on it is not killed when this program exits, but
   * ends by itself when its input does.
   */
  leave(): void {
    live.delete(this);
  }

  /**
   * Lets the processes that it has started live on. `graceMs` says that the process is a tool, which has
   * nothing left to do: if it has not ended by then, it is ended, but nothing below it is. SIGKILL, because
   * sudo and su pass on any other signal.
   */
  async abandon(graceMs?: number): Promise<void> {
    this.leave();
    this.#forget();
    this.hangUp();
    if (graceMs === undefined || this.pid === undefined || (await within(this.exited, graceMs))) return;
    kill(this.pid, "SIGKILL");
  }

  /**
   * Ends the process and everything below it: it may end by itself within `graceMs`, then gets SIGTERM, then
   * SIGKILL. Resolves when it is reaped. Never rejects.
   */
  async end(graceMs: number): Promise<void> {
    const { pid } = this;
    if (pid === undefined) return;
    this.#isEnding = true;
    // The group is checked too, because a process that always starts another one and ends appears in no list.
    if (!(await within(this.exited, graceMs)) || kill(-pid, 0)) {
      await endTree(pid, "SIGTERM", () => this.#exit !== undefined, true);
      if (!(await within(this.exited, REAP_MS)))
        log.warning(`Process ${pid} could not be ended; it may run as another user`);
    }
    live.delete(this);
    this.#forget();
  }

  /**
   * Kills the process and its process group at once. Processes of another user cannot be signalled; they end
   * when their pipes do.
   */
  kill(): void {
    if (this.pid !== undefined) kill(-this.pid, "SIGKILL");
  }

  /** The reaper must know the process until its process group is empty. `end` looks after that itself. */
  private async forgetOnceGone(): Promise<void> {
    if (this.#isEnding) return;
    if (await this.isThere()) setTimeout(() => void this.forgetOnceGone(), LEFT_POLL_MS).unref();
    else this.#forget();
  }

  /** Whether the process, or one that it has left in its process group, still runs. */
  private async isThere(): Promise<boolean> {
    const { pid } = this;
    if (pid === undefined || !kill(-pid, 0)) return false;
    // Zombies do not count, because their parent may be an init that never reaps.
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

/** The directory the process is started in. Node cannot start in a directory that no longer exists. */
function startFolder(): string | undefined {
  try {
    // process.cwd() may return a cached path that no longer exists.
    realpathSync.native(".");
    return undefined;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") return undefined;
    log.warning("The working directory of this process no longer exists; it starts its tools in /");
    return "/";
  }
}

/** Replaces a stream of a process that was never started. */
function unconnected(): Socket {
  return new Socket();
}

/** Returns false if there is no such process, or it belongs to another user. */
function kill(pid: number, signal: NodeJS.Signals | 0): boolean {
  try {
    return process.kill(pid, signal);
  } catch {
    return false;
  }
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

/** Processes that would outlive this program if it exited now, because they are not children yet. */
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
