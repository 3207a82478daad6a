import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { MitogenError } from "../../errors.ts";
import { libraryUrl } from "../../library.ts";
import { connect, type UnixConnection } from "../../unix/unix-client.ts";
import { read } from "../../wire/values/thrown.ts";

/** The file that the process runs, and that has the functions that commands call in it. */
export const KEEPER_URL: string = libraryUrl("up.js");

/** How long the process may take to listen. */
const START_TIMEOUT_MS = 20_000;
const SHOWN_CHARACTERS = 2000;

/** Connects to the process of `mitogen up`; undefined if there is none. */
export async function connectKeeper(socket: string): Promise<UnixConnection | undefined> {
  try {
    return await connect(socket);
  } catch (error) {
    // A socket that nobody listens at is what a killed process leaves. The next one replaces it.
    if (["ENOENT", "ECONNREFUSED"].includes(String(read(Object(Object(error).cause), "code"))))
      return undefined;
    throw error;
  }
}

/** Starts the process, unless there is one, and connects to it. It goes on when this program ends. */
export async function startKeeper(socket: string, idleMs: number): Promise<UnixConnection> {
  for (;;) {
    const running = await connectKeeper(socket);
    if (running !== undefined) return running;
    const failure = await spawnKeeper(socket, idleMs);
    const started = await connectKeeper(socket);
    // It may have lost against one that another command has started at the same time.
    if (started !== undefined) return started;
    if (failure !== undefined) {
      throw Object.assign(new MitogenError(`Cannot keep connections: ${failure}`), { code: "ERR_UP" });
    }
  }
}

/** Resolves when the process listens: with undefined, or with what it said when it could not. */
function spawnKeeper(socket: string, idleMs: number): Promise<string | undefined> {
  return new Promise((resolve, reject) => {
    const keeper = spawn(process.execPath, [fileURLToPath(KEEPER_URL), socket, String(idleMs)], {
      detached: true,
      stdio: ["ignore", "pipe", "pipe"],
    });
    let said = "";
    const end = (failure: string | undefined): void => {
      clearTimeout(timer);
      lines.close();
      // It must not wait for a reader, nor this program for it.
      keeper.stdout.destroy();
      keeper.stderr.destroy();
      keeper.unref();
      resolve(failure);
    };
    const timer = setTimeout(() => {
      keeper.kill("SIGKILL");
      end(`the process did not listen within ${START_TIMEOUT_MS / 1000} s`);
    }, START_TIMEOUT_MS);
    keeper.on("error", reject);
    keeper.stderr.setEncoding("utf8").on("data", (text: string) => {
      said = (said + text).slice(-SHOWN_CHARACTERS);
    });
    keeper.on("exit", (code, signal) =>
      end(said.trim() || `the process ended with ${signal ?? `exit code ${code}`}`),
    );
    const lines = createInterface({ input: keeper.stdout });
    lines.once("line", () => end(undefined));
  });
}
