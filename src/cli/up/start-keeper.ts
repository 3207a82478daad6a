import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { CallError, MitogenError, TimeoutError } from "../../errors.ts";
import { FunctionRef } from "../../functions/callable.ts";
import { LIBRARY_FILE, libraryUrl } from "../../library.ts";
import { nameLimit } from "../../process/system-limits.ts";
import { connect, type UnixConnection } from "../../unix/unix-client.ts";
import { onAbort } from "../../waiting/wait.ts";
import { messageOf, read } from "../../wire/values/thrown.ts";

/** The file that the process runs, and that has the functions that commands call in it. */
export const KEEPER_URL: string = libraryUrl("up.js");

/** How long the process may take to listen. */
const START_TIMEOUT_MS = 20_000;
const SHOWN_CHARACTERS = 2000;

/** How long the process may take for a short answer. */
const ANSWER_MS = 10_000;
/** How often to start it if it ends at once. */
const MAX_STARTS = 5;

/** The name of {@link installation} in the process that keeps the connections. */
export const INSTALLATION_NAME = "mitogenUp";
const INSTALLATION: FunctionRef<readonly [], string> = new FunctionRef("global", [INSTALLATION_NAME]);

/** A connection to the process of `mitogen up`. */
export interface KeeperConnection extends UnixConnection {
  /**
   * Whether it runs this code: the same version, from the same place. Another version may lack the functions that we
   * call.
   */
  readonly isOwn: boolean;
}

/** Which code this is. */
export function installation(): string {
  const { version } = JSON.parse(readFileSync(new URL("../package.json", LIBRARY_FILE), "utf8"));
  return `${version} ${KEEPER_URL}`;
}

/** Connects to the process of `mitogen up`; undefined if there is none. */
export async function connectKeeper(
  socket: string,
  signal: AbortSignal,
): Promise<KeeperConnection | undefined> {
  try {
    const { router, context } = await connect(socket, { signal, timeoutMs: ANSWER_MS });
    try {
      const theirs = await context.with({ signal, timeoutMs: ANSWER_MS }).call(INSTALLATION);
      return { router, context, isOwn: theirs === installation() };
    } catch (error) {
      // An old one has no such function.
      if (error instanceof CallError) return { router, context, isOwn: false };
      await router.shutdown();
      throw error;
    }
  } catch (error) {
    // A killed process leaves a socket without a listener. The next process replaces it.
    if (["ENOENT", "ECONNREFUSED"].includes(String(read(Object(Object(error).cause), "code"))))
      return undefined;
    if (!(error instanceof TimeoutError)) throw error;
    throw upError(
      `The process of mitogen up does not answer: ${error.message}; end it by: pkill -KILL -f ${socket}`,
      error,
    );
  }
}

function upError(message: string, cause?: unknown): MitogenError {
  return Object.assign(new MitogenError(message, { cause }), { code: "ERR_UP" });
}

/** Connects to it if it is this code's. */
async function connectOwn(socket: string, signal: AbortSignal): Promise<UnixConnection | undefined> {
  const found = await connectKeeper(socket, signal);
  if (found === undefined || found.isOwn) return found;
  await found.router.shutdown();
  throw upError(
    "Cannot keep connections: another installation of mitogen keeps connections already; end them by mitogen down",
  );
}

/** Starts the process, unless there is one, and connects to it. The process goes on when this program ends. */
export async function startKeeper(
  socket: string,
  idleMs: number,
  signal: AbortSignal,
): Promise<UnixConnection> {
  for (let starts = 1; ; starts++) {
    const running = await connectOwn(socket, signal);
    if (running !== undefined) return running;
    const failure = await spawnKeeper(socket, idleMs, signal);
    const started = await connectOwn(socket, signal);
    // Another command may have started a process at the same time, and that one listens.
    if (started !== undefined) return started;
    if (failure !== undefined) throw upError(`Cannot keep connections: ${failure}`);
    if (starts === MAX_STARTS)
      throw upError("Cannot keep connections: the process ends as soon as it listens");
  }
}

/** Resolves with undefined when the process listens, or with its error message if it cannot. */
function spawnKeeper(socket: string, idleMs: number, signal: AbortSignal): Promise<string | undefined> {
  return new Promise((resolve, reject) => {
    signal.throwIfAborted();
    const keeper = spawn(process.execPath, [fileURLToPath(KEEPER_URL), socket, String(idleMs)], {
      detached: true,
      stdio: ["ignore", "pipe", "pipe"],
    });
    keeper.on("error", (error) =>
      reject(upError(`Cannot keep connections: ${messageOf(nameLimit(error))}`, error)),
    );
    if (keeper.pid === undefined) return; // It may have no streams.
    const lines = createInterface({ input: keeper.stdout });
    let said = "";
    const release = (): void => {
      clearTimeout(timer);
      unwatch();
      lines.close();
      // The process must not wait for a reader, and this program must not wait for the process.
      keeper.stdout.destroy();
      keeper.stderr.destroy();
      keeper.unref();
    };
    const end = (failure: string | undefined): void => {
      release();
      resolve(failure);
    };
    const timer = setTimeout(() => {
      keeper.kill("SIGKILL");
      end(`the process did not listen within ${START_TIMEOUT_MS / 1000} s`);
    }, START_TIMEOUT_MS);
    const unwatch = onAbort(signal, () => {
      keeper.kill("SIGKILL");
      release();
      reject(signal.reason);
    });
    keeper.stderr.setEncoding("utf8").on("data", (text: string) => {
      said = (said + text).slice(-SHOWN_CHARACTERS);
    });
    keeper.on("exit", (code, signal) =>
      end(said.trim() || `the process ended with ${signal ?? `exit code ${code}`}`),
    );
    lines.once("line", () => end(undefined));
  });
}
