import { readFileSync } from "node:fs";
import { MitogenError } from "../../errors.ts";
import { Handle } from "../../wire/handles.ts";
import type { BrokerLink } from "../broker-link.ts";
import type { ChildRouter } from "./child-router.ts";

/**
 * The signals that a terminal, or its end, sends to every process of its session. A process of a new session would
 * not get them, but Node cannot start one (there is no setsid). So these signals are ignored.
 */
const SESSION_SIGNALS: readonly NodeJS.Signals[] = ["SIGHUP", "SIGINT", "SIGQUIT", "SIGTSTP"];

/**
 * Lets this context live on without the contexts above it. Its broker thread sends a farewell and closes the
 * link. After that, nothing is sent to the parent, and pending calls to contexts above, or elsewhere, fail.
 * Rejects with a ChannelError if the parent refuses; then nothing has changed.
 */
export async function detach(
  router: ChildRouter,
  link: BrokerLink,
  nonce: string | undefined,
): Promise<void> {
  if (nonce === undefined) {
    throw new MitogenError(
      "Cannot detach: this context is a thread, and ends with the process it belongs to",
    );
  }
  // Gets the code for detaching, and ids for children, because a detached context cannot ask for them.
  await router.reserveIds();
  const parentIds = router.parentIds as number[];
  for (const signal of SESSION_SIGNALS) process.on(signal, ignore);
  // The descriptor will be closed, and may then be another file's.
  link.writeDirectlyTo([]);
  let below: readonly number[];
  try {
    below = (await router.myself().request(Handle.DETACHING, null)) as number[];
  } catch (error) {
    link.writeDirectlyTo(parentIds);
    for (const signal of SESSION_SIGNALS) process.off(signal, ignore);
    throw error;
  }
  const reason = `Context ${router.contextId} was detached`;
  router.delRoutes([...parentIds], reason);
  parentIds.length = 0;
  const reachable = new Set([router.contextId, ...below]);
  const lost = [...router.handlers.respondentIds].filter((id) => !reachable.has(id));
  router.endRespondents(lost, reason);
  endShells(nonce);
}

function ignore(): void {}

/**
 * Ends the waiting shells, if there are any. The tool that started them (ssh, sudo) sees them end and ends
 * too, and this process is nobody's child any more. The connection's nonce in their command lines proves that
 * they belong to this library. Sends SIGKILL, because the shells must not pass the signal on. Ends the outer
 * shells first, because a shell that sees its child end kills what the child has left, and that is this process.
 */
function endShells(nonce: string, pid: number = process.ppid): void {
  try {
    const args = readFileSync(`/proc/${pid}/cmdline`, "latin1").split("\0");
    // Leaves out sudo and similar tools, whose command lines hold the nonce too: they must end by themselves.
    if (!args.includes(nonce) || (args[1] !== "-c" && pid !== process.ppid)) return;
    const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
    endShells(nonce, Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1]));
    process.kill(pid, "SIGKILL");
  } catch {
    // There is no /proc, or the shell runs as another user. It stays, and waits.
  }
}
