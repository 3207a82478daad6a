import { spawn } from "node:child_process";
import { OutputTail } from "../../commands/output-tail.ts";
import { checkDescriptors, nameLimit, SPAWN_DESCRIPTORS } from "../../process/system-limits.ts";
import { oneLine, withoutControls } from "../../text/harmless.ts";
import { messageOf } from "../../wire/values/thrown.ts";
import { InventoryError } from "../config/inventory-error.ts";

/** How much a source may print, in bytes. */
const MAX_OUTPUT = 64 * 1024 * 1024;
/** How much of its errors is kept. */
const MAX_ERRORS = 4096;

/**
 * Runs a program that knows hosts and returns what it printed, up to 64 MiB. Rejects with an InventoryError that begins with
 * `what` and ends with the last lines of the program's stderr, or with the signal's reason. The program and its process group are
 * killed if the signal aborts or it prints more.
 */
export function runSource(what: string, argv: readonly string[], signal: AbortSignal): Promise<string> {
  const [program = "", ...args] = argv;
  const shown = oneLine(
    argv.length > 2 && argv[1] === "-c" ? (argv[2] as string) : argv.slice(0, 2).join(" "),
  );
  const refusal = (why: string, cause?: unknown): InventoryError =>
    new InventoryError(`${what}: "${shown}" ${why}`, cause === undefined ? {} : { cause });
  const unstartable = (error: Error): InventoryError =>
    refusal(`cannot be started: ${messageOf(nameLimit(error))}`, error);
  return new Promise((resolve, reject) => {
    signal.throwIfAborted();
    try {
      // Without descriptors, a child has no streams.
      checkDescriptors(SPAWN_DESCRIPTORS);
    } catch (error) {
      throw unstartable(error as Error);
    }
    // In a process group of its own, so that all of it can be ended, and Ctrl-C reaches only this program.
    const child = spawn(program, args, { stdio: ["ignore", "pipe", "pipe"], detached: true });
    const chunks: Buffer[] = [];
    const errors = new OutputTail(MAX_ERRORS);
    let size = 0;
    const settle = (settled: () => void): void => {
      signal.removeEventListener("abort", abort);
      settled();
    };
    const fail = (why: string): void => settle(() => reject(refusal(why)));
    const kill = (): void => {
      for (const stream of [child.stdout, child.stderr]) stream.destroy();
      if (child.pid === undefined) return;
      try {
        process.kill(-child.pid, "SIGKILL");
      } catch {
        // It has ended.
      }
    };
    const abort = (): void => {
      kill();
      settle(() => reject(signal.reason));
    };
    signal.addEventListener("abort", abort);
    child.stdout.on("data", (chunk: Buffer) => {
      size += chunk.length;
      if (size > MAX_OUTPUT) {
        kill();
        fail(`printed more than ${MAX_OUTPUT} bytes`);
      } else chunks.push(chunk);
    });
    child.stderr.on("data", (chunk: Buffer) => errors.push(chunk));
    child.on("error", (error) => settle(() => reject(unstartable(error))));
    child.on("close", (code, by) => {
      if (code === 0) settle(() => resolve(Buffer.concat(chunks).toString("utf8")));
      else
        fail(
          `${by === null ? `ended with exit code ${code}` : `was ended by ${by}`}${lastWords(errors.bytes)}`,
        );
    });
  });
}

function lastWords(bytes: Buffer): string {
  const lines = bytes
    .toString("utf8")
    .split("\n")
    .map((line) => withoutControls(line).trim())
    .filter((line) => line !== "");
  const last = lines.slice(-3).join("; ");
  return last === "" ? "" : `: ${last}`;
}
