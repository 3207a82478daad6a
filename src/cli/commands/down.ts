import { FunctionRef } from "../../functions/callable.ts";
import type { Command } from "../command.ts";
import { ExitStatus } from "../exit-status.ts";
import { connectKeeper, KEEPER_URL } from "../up/start-keeper.ts";
import { upSocket } from "../up/up-socket.ts";
import { UsageError } from "../usage-error.ts";

const DOWN: FunctionRef<readonly [], Promise<string[]>> = new FunctionRef(KEEPER_URL, ["down"]);
/** How long the connections may take to end: as long as a router's shutdown takes at most, and a little more. */
const TIMEOUT_MS = 30_000;

export const command: Command = {
  name: "down",
  summary: 'ends the connections that "mitogen up" keeps',
  usage: [""],
  text: 'Ends all connections that "mitogen up" keeps, even if work is running, and the process that keeps them.',
  options: {},
  async run({ operands, out, name }) {
    if (operands.length > 0) throw new UsageError("down takes no hosts: it ends all connections", name);
    const keeper = await connectKeeper(upSocket());
    if (keeper === undefined) {
      out.print("No connections are kept.");
      return ExitStatus.Ok;
    }
    const { length } = await keeper.context.with({ timeoutMs: TIMEOUT_MS }).call(DOWN);
    // Waits until the process has closed its side, which it does when it goes.
    await keeper.router.shutdown();
    out.print(`Ended ${length} ${length === 1 ? "connection" : "connections"}.`);
    return ExitStatus.Ok;
  },
};
