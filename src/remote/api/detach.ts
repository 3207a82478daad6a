import { readFileSync } from "node:fs";
import { MitogenError } from "../../errors.ts";
import { Handle } from "../../wire/handles.ts";
import type { BrokerLink } from "../broker-link.ts";
import type { ChildRouter } from "./child-router.ts";

/**
 * What a terminal, or its end, sends to every process of its session. A new session would be out of their reach, but Node cannot
 * begin one (there is no setsid), so they are ignored.
 */
const SESSION_SIGNALS: readonly NodeJS.Signals[] = ["SIGHUP", "SIGINT", "SIGQUIT", "SIGTSTP"];

/**
 * Lets this context live on without those above it. Its broker thread says farewell and closes the link; here nothing is sent there
 * any more, and who waits for contexts above, or elsewhere, is told. Rejects with a ChannelError when the parent refuses: then
 * nothing has changed.
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
  // Brings the code for it, and ids: who is detached can ask for none.
  await router.reserveIds();
  const parentIds = router.parentIds as number[];
  for (const signal of SESSION_SIGNALS) process.on(signal, ignore);
  // The descriptor is about to be closed, and would be another file's.
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
 * Ends the shells that wait for this process, if there are any: whoever started them (ssh, sudo) sees it end and ends too, and this process
 * is nobody's child any more. The nonce of this connection in their command lines proves that they are ours. By SIGKILL: they must
 * not pass anything on. Those above go first: one that saw its child end would end what that has left, us.
 */
function endShells(nonce: string, pid: number = process.ppid): void {
  try {
    const args = readFileSync(`/proc/${pid}/cmdline`, "latin1").split("\0");
    // Not sudo and its like, which have the nonce in theirs too: they are to end in order.
    if (!args.includes(nonce) || (args[1] !== "-c" && pid !== process.ppid)) return;
    const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
    endShells(nonce, Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1]));
    process.kill(pid, "SIGKILL");
  } catch {
    // No /proc, or it runs as another user: it stays, and waits.
  }
}
