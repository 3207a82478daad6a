/**
 * The process of `mitogen up`, `node up.js SOCKET IDLE_MS`. It keeps connections, and lends them to the commands that
 * connect to its socket and call the functions below.
 */
import { currentCall } from "../../calls/target/current-call.ts";
import { isMain } from "../../connection/run-with-router.ts";
import { listen } from "../../unix/unix-listener.ts";
import { messageOf } from "../../wire/values/thrown.ts";
import { Keeper, type KeepOptions, type UpEvent } from "./keeper.ts";
import type { KeptHost } from "./kept-host.ts";
import type { Become, KeptLimits, KeptMessage, KeptWork, Wanted } from "./kept-messages.ts";
import { INSTALLATION_NAME, installation } from "./start-keeper.ts";

/** How long the process waits for the first hosts, and goes on after an `up` that was interrupted or has connected none. */
const EMPTY_MS = 10_000;

let keeper: Keeper | undefined;
let idleMs = 0;
let idle: NodeJS.Timeout | undefined;
let requests = 0;

/** Connects hosts that are not connected yet. */
export async function* up(
  hosts: readonly KeptHost[],
  options: KeepOptions,
): AsyncGenerator<UpEvent, void, undefined> {
  yield* during((kept, signal) => kept.up(hosts, options, signal));
}

/** Prepares hosts for work. Returns the names of those that are not kept in this way. */
export function prepare(wanted: readonly Wanted[]): Promise<string[]> {
  // The process must not end just before the work comes.
  if (requests === 0) waitForRequests();
  return (keeper as Keeper).prepare(wanted);
}

/** Does work on one host. */
export async function* work(
  wanted: Wanted,
  what: KeptWork,
  limits: KeptLimits,
  become?: Become,
): AsyncGenerator<KeptMessage, void, undefined> {
  yield* during((kept, signal) => kept.work(wanted, what, limits, signal, become));
}

/** The names of the hosts that are connected. */
export function names(): string[] {
  return keeper?.names ?? [];
}

/** Ends the connections, and then the process. */
export async function down(): Promise<string[]> {
  const ended = names();
  await keeper?.down();
  // Also closes the socket, once the answer is on its way.
  setImmediate(() => void keeper?.router.broker.shutdown());
  return ended;
}

/** The process ends if it has nothing to do for this long, because the user may have forgotten the connections. */
async function* during<T>(
  request: (kept: Keeper, signal: AbortSignal) => AsyncGenerator<T, void, undefined>,
): AsyncGenerator<T, void, undefined> {
  clearTimeout(idle);
  requests++;
  try {
    yield* request(keeper as Keeper, currentCall().signal);
  } finally {
    if (--requests === 0) waitForRequests();
  }
}

function waitForRequests(): void {
  clearTimeout(idle);
  const ms = keeper?.hasHosts === true ? idleMs : Math.min(idleMs, EMPTY_MS);
  idle = setTimeout(() => void down(), ms).unref();
}

async function main(socket: string): Promise<void> {
  // The command that started this process will have ended when something is written.
  for (const stream of [process.stdout, process.stderr]) stream.on("error", () => undefined);
  keeper = new Keeper();
  // Loaded now, because another version may replace the file while this process runs.
  const own = installation();
  Object.assign(globalThis, { [INSTALLATION_NAME]: () => own });
  const listener = listen(keeper.router, { path: socket });
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => void down());
  waitForRequests();
  process.stdout.write("listening\n");
  await listener.wait();
}

if (isMain(import.meta)) {
  const [socket = "", idleText] = process.argv.slice(2);
  idleMs = Number(idleText);
  main(socket).then(
    () => process.exit(0),
    (error) => {
      // For the command that has started this process, which shows it.
      process.stderr.write(messageOf(error), () => process.exit(1));
    },
  );
}
