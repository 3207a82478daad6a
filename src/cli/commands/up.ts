import { FunctionRef } from "../../functions/callable.ts";
import { oneLine } from "../../text/harmless.ts";
import type { Call, Command } from "../command.ts";
import { ExitStatus } from "../exit-status.ts";
import { CONNECT_OPTIONS, HOST_OPTIONS, prepareFleet } from "../open-fleet.ts";
import type { KeepOptions, UpEvent } from "../up/keeper.ts";
import { type KeptHost, keptHost } from "../up/kept-host.ts";
import { KEEPER_URL, startKeeper } from "../up/start-keeper.ts";
import { makeUpSocket } from "../up/up-socket.ts";
import { duration, readOption } from "../values.ts";

const UP: FunctionRef<
  readonly [hosts: readonly KeptHost[], options: KeepOptions],
  AsyncGenerator<UpEvent, void, undefined>
> = new FunctionRef(KEEPER_URL, ["up"]);
/** Connections that nobody uses do not stay for ever: they may be root's. */
const IDLE_MS = 3_600_000;

// The work of later commands goes through the process that keeps the connections, not through hops.
const { through: _, ...OPTIONS } = CONNECT_OPTIONS;

export const command: Command = {
  name: "up",
  summary: "keeps connections to hosts open, for the commands that follow",
  usage: ["--on HOSTS [options]"],
  text: `Connects to hosts, and leaves a process that keeps the connections. Your later commands on this machine use these connections \
automatically, if all of their hosts are kept and are reached in the same way. They then start at once, and ask for no password of \
logins. A command with --sudo starts sudo over these connections, for itself alone. "mitogen down" ends the connections.

Whoever can open the socket of that process can use the connections. Only you can: it is in your own folder, \
$XDG_RUNTIME_DIR/mitogen, or one in /tmp. The process ends when no command has used it for an hour; --idle sets another time.

Modules stay loaded on the hosts, with their variables. When the file of a task has changed, the next command runs the new code.

  mitogen up --on @web
  mitogen run tasks.ts#restart --on @web -- nginx
  mitogen down`,
  options: {
    idle: {
      type: "string",
      value: "TIME",
      text: "end the connections when no command has used any for this time; 1h by default",
    },
    ...HOST_OPTIONS,
    ...OPTIONS,
  },
  async run(call) {
    const idleMs = readOption(call, "idle", duration) ?? IDLE_MS;
    const prepared = await prepareFleet(call);
    const hosts: KeptHost[] = [];
    for (const host of prepared.hosts) hosts.push(await keptHost(host));
    const { router, context } = await startKeeper(makeUpSocket(), idleMs, call.signal);
    try {
      return await follow(
        context.with({ signal: call.signal }).stream(UP, hosts, prepared.connectOptions as KeepOptions),
        hosts.length,
        call,
      );
    } finally {
      await router.shutdown();
    }
  },
};

/** Shows how the connects end. Returns the exit status. */
async function follow(events: AsyncIterable<UpEvent>, count: number, { out }: Call): Promise<number> {
  const { green, red } = out.colours;
  let kept = 0;
  for await (const event of events) {
    if (event.type !== "kept") continue;
    if (event.error === undefined) kept++;
    else out.print(`${red("unreachable")}  ${oneLine(event.host)}: ${oneLine(event.error)}`);
  }
  out.print(`${green("kept")}  ${kept} of ${count} ${count === 1 ? "host" : "hosts"}`);
  return kept === count ? ExitStatus.Ok : ExitStatus.SomeUnreachable;
}
