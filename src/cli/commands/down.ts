import { FunctionRef } from "../../functions/callable.ts";
import type { Command } from "../command.ts";
import { ExitStatus } from "../exit-status.ts";
import { connectKeeper, KEEPER_URL } from "../up/start-keeper.ts";
import { findUpSocket } from "../up/up-socket.ts";
import { UsageError } from "../usage-error.ts";

const DOWN: FunctionRef<readonly [], Promise<string[]>> = new FunctionRef(KEEPER_URL, ["down"]);
/** Runs that process's own handler of the signal, which every version has. */
const TERMINATE: FunctionRef<readonly [signal: string], unknown> = new FunctionRef("global", [
  "process",
  "emit",
]);
/** How long the connections may take to end: as long as a router's shutdown takes at most, and a little more. */
const TIMEOUT_MS = 30_000;

export const command: Command = {
  name: "down",
  summary: 'ends the connections that "mitogen up" keeps',
  usage: [""],
  text: 'Ends all connections that "mitogen up" keeps, even if work is running, and the process that keeps them.',
  options: {},
  async run({ operands, out, name, signal }) {
    if (operands.length > 0) throw new UsageError("down takes no hosts: it ends all connections", name);
    const socket = findUpSocket();
    const keeper = socket === undefined ? undefined : await connectKeeper(socket, signal);
    if (keeper === undefined) {
      out.print("No connections are kept.");
      return ExitStatus.Ok;
    }
    const bounded = keeper.context.with({ signal, timeoutMs: TIMEOUT_MS });
    if (!keeper.isOwn) {
      await bounded.call(TERMINATE, "SIGTERM");
      await keeper.router.shutdown();
      out.print("Ended the connections that another installation of mitogen kept.");
      return ExitStatus.Ok;
    }
    const { length } = await bounded.call(DOWN);
    // Waits until the process has closed its side, which it does when it goes.
    await keeper.router.shutdown();
    out.print(`Ended ${length} ${length === 1 ? "connection" : "connections"}.`);
    return ExitStatus.Ok;
  },
};
