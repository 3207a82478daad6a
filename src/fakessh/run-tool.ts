import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createServer, type Server, type Socket } from "node:net";
import { basename, join } from "node:path";
import type { Readable } from "node:stream";
import type { Context } from "../core/context.ts";
import { MitogenError } from "../errors.ts";
import { getLogger } from "../logging/log.ts";
import { endTree } from "../process/end-tree.ts";
import { reaper } from "../process/reaper.ts";
import { checkDescriptors, nameLimit, SPAWN_DESCRIPTORS } from "../process/system-limits.ts";
import { shareTerminal } from "../terminal/open-line.ts";
import { type WaitOptions, watchBounds } from "../waiting/wait.ts";
import { makeSshFolder, removeFolder, removeStaleFolders, type SshFolder } from "./ssh-folder.ts";
import { serveSsh } from "./ssh-session.ts";

/** Options of {@link runSsh}. */
export interface RunSshOptions extends WaitOptions {
  /** The folder in which the tool is started. By default the program's working directory. */
  readonly cwd?: string;
  /** Environment variables of the tool, added to the program's own. */
  readonly env?: Readonly<Record<string, string>>;
  /**
   * `inherit`, the default, uses the program's own streams. `ignore` uses none. `collect` returns the tool's
   * output in the result.
   */
  readonly stdio?: "inherit" | "ignore" | "collect";
}

/** How a tool ended. */
export interface ToolResult {
  /** Null if a signal ended it. */
  readonly code: number | null;
  /** The signal that ended the tool; null if it ended by itself. */
  readonly signal: NodeJS.Signals | null;
  /** The tool's output with `stdio: "collect"`, the last MiB of each stream. Otherwise empty. */
  readonly stdout: string;
  /** As `stdout`. */
  readonly stderr: string;
}

const MAX_COLLECTED_BYTES = 1024 * 1024;
/** How long processes that the tool left running have to finish. */
const GRACE_MS = 1000;
/** These tools look for ssh at a fixed path, unless an option names it. */
const TOLD_BY_OPTION = ["scp", "sftp"];

const log = getLogger("mitogen.ssh");

/** Tools that would outlive this program, by their folders. */
const live = new Map<string, ChildProcess>();
let isWatchingExit = false;

/** Implements `runSsh`. The options have been checked. */
export async function runTool(
  context: Context,
  tool: string,
  args: readonly string[],
  options: RunSshOptions,
): Promise<ToolResult> {
  await removeStaleFolders();
  const cannotRun = (cause: unknown): MitogenError =>
    cause instanceof MitogenError
      ? cause
      : new MitogenError(`Cannot run ${JSON.stringify(tool)}: ${(nameLimit(cause) as Error).message}`, {
          cause,
        });
  let folder: SshFolder;
  try {
    checkDescriptors(SPAWN_DESCRIPTORS);
    folder = makeSshFolder();
  } catch (error) {
    throw cannotRun(error);
  }
  const forget = reaper.add(folder.path);
  const sessions = new Sessions(context, tool, folder.nonce);
  try {
    await sessions.listen(folder.socketPath).catch((error) => Promise.reject(cannotRun(error)));
    const told = TOLD_BY_OPTION.includes(basename(tool)) ? ["-S", join(folder.path, "ssh"), ...args] : args;
    return await runWith(folder, sessions, context, tool, told, options);
  } finally {
    live.delete(folder.path);
    sessions.close();
    removeFolder(folder.path);
    forget();
  }
}

async function runWith(
  folder: SshFolder,
  sessions: Sessions,
  context: Context,
  tool: string,
  args: readonly string[],
  options: RunSshOptions,
): Promise<ToolResult> {
  const { cwd, stdio = "inherit" } = options;
  const child = spawn(tool, args, {
    ...(cwd === undefined ? {} : { cwd }),
    env: toolEnvironment(folder.path, options.env),
    stdio: stdio === "collect" ? ["ignore", "pipe", "pipe"] : stdio,
  });
  const unshare = stdio === "inherit" ? shareTerminal() : undefined;
  const ended = exitOf(child, tool, cwd);
  track(folder.path, child);
  const forget = child.pid === undefined ? undefined : reaper.add(`${child.pid}`);
  const stop = (): void => {
    if (child.pid !== undefined) void endTree(child.pid, "SIGTERM", () => hasExited(child));
  };
  let givenUp: { reason: unknown } | undefined;
  const disown = context.router.broker.own({
    shutdown: async () => {
      stop();
      await ended.catch(() => undefined);
    },
  });
  const unwatch = watchBounds(
    options,
    () => `run ${tool} with ${context.name}`,
    (reason) => {
      givenUp = { reason };
      stop();
    },
  );
  const [stdout, stderr] = [collect(child.stdout), collect(child.stderr)];
  try {
    const exit = await ended;
    // A tool that ends by itself has seen its ssh end, except one that it left in the background.
    if (exit.signal === null) await within(sessions.ended(), GRACE_MS);
    sessions.close();
    if (stdio === "collect") await within(closeOf(child), GRACE_MS);
    if (givenUp !== undefined) throw givenUp.reason;
    return { ...exit, stdout: stdout(), stderr: stderr() };
  } finally {
    forget?.();
    unshare?.();
    unwatch();
    disown();
    child.stdout?.destroy();
    child.stderr?.destroy();
  }
}

function exitOf(
  child: ChildProcess,
  tool: string,
  cwd: string | undefined,
): Promise<Pick<ToolResult, "code" | "signal">> {
  return new Promise((resolve, reject) => {
    child.once("exit", (code, signal) => resolve({ code, signal }));
    child.on("error", (cause: NodeJS.ErrnoException) => {
      if (child.pid !== undefined) return; // it runs; the error is that of a signal
      const cure = cwd === undefined ? "is it installed?" : `is it installed, and is there ${cwd}?`;
      const why = cause.code === "ENOENT" ? `${cause.message}: ${cure}` : nameLimit(cause).message;
      reject(new MitogenError(`Cannot run ${JSON.stringify(tool)}: ${why}`, { cause }));
    });
  });
}

/** The environment that tells tools which ssh to use. */
function toolEnvironment(folder: string, own: RunSshOptions["env"]): NodeJS.ProcessEnv {
  const env = { ...process.env, ...own };
  return {
    ...env,
    PATH: `${folder}:${env["PATH"] ?? "/usr/local/bin:/usr/bin:/bin"}`,
    SSH_PATH: join(folder, "ssh"),
    // By name, because these tools split the value at spaces.
    RSYNC_RSH: "ssh",
    GIT_SSH_COMMAND: "ssh",
    // Otherwise git runs it to find out its kind.
    GIT_SSH_VARIANT: "ssh",
  };
}

/** The `ssh` connections of one tool. */
class Sessions {
  readonly #server: Server;
  readonly #open: Map<Socket, Promise<void>> = new Map();

  constructor(context: Context, tool: string, nonce: string) {
    this.#server = createServer((socket) => {
      const session = serveSsh(context, socket, nonce);
      this.#open.set(socket, session);
      void session.then(() => this.#open.delete(socket));
    });
    // Also covers a connection for which there is no descriptor: its ssh sees that it was closed.
    this.#server.on("error", (error) =>
      log.warning(`${tool}: its ssh cannot connect: ${nameLimit(error).message}`),
    );
  }

  async listen(path: string): Promise<void> {
    this.#server.listen(path);
    await once(this.#server, "listening");
  }

  /** Resolves when the open ones have ended. */
  async ended(): Promise<void> {
    await Promise.all(this.#open.values());
  }

  /** Ends the remaining connections, and thereby their commands. */
  close(): void {
    this.#server.close();
    for (const socket of this.#open.keys()) socket.destroy();
  }
}

/** Collects a stream. Returns a function that returns its text so far. */
function collect(stream: Readable | null): () => string {
  let chunks: Buffer[] = [];
  let size = 0;
  stream?.on("data", (chunk: Buffer) => {
    chunks.push(chunk);
    size += chunk.length;
    if (size <= 2 * MAX_COLLECTED_BYTES) return;
    chunks = [Buffer.concat(chunks).subarray(-MAX_COLLECTED_BYTES)];
    size = MAX_COLLECTED_BYTES;
  });
  return () => Buffer.concat(chunks).subarray(-MAX_COLLECTED_BYTES).toString();
}

function hasExited(child: ChildProcess): boolean {
  return child.exitCode !== null || child.signalCode !== null;
}

async function closeOf(child: ChildProcess): Promise<void> {
  const streams = [child.stdout, child.stderr].filter((stream) => stream?.closed === false);
  await Promise.all(streams.map((stream) => once(stream as Readable, "close")));
}

async function within(promise: Promise<unknown>, ms: number): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, ms);
  });
  await Promise.race([promise, late]);
  clearTimeout(timer);
}

/** Neither tool nor folder outlives this program, unless a signal ends it. */
function track(folder: string, child: ChildProcess): void {
  live.set(folder, child);
  if (isWatchingExit) return;
  isWatchingExit = true;
  process.once("exit", () => {
    for (const [path, each] of live) {
      each.kill("SIGTERM");
      removeFolder(path);
    }
  });
}
