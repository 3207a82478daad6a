import {
  addRuntime,
  clearRuntimes,
  listRuntimes,
  type RuntimeInfo,
} from "../../connection/runtime/packs/runtimes.ts";
import { oneLine } from "../../text/harmless.ts";
import type { Call, Command } from "../command.ts";
import { ExitStatus } from "../exit-status.ts";
import { UsageError } from "../usage-error.ts";

const MIB = 1024 * 1024;
/** How many characters of a hash are enough to distinguish runtimes. */
const SHORT_HASH = 12;

export const command: Command = {
  name: "runtime",
  summary: "manages the copies of node for hosts that have none",
  usage: ["list [--json]", "add SOURCE... [--mirror URL]", "clear [HASH...]"],
  text: `A runtime is a copy of node, packed for hosts that have none: see --provision. For hosts like this machine, it is packed \
automatically. Add a runtime for another system with this command. Runtimes are kept in $XDG_CACHE_HOME/mitogen/runtimes.

list shows the runtimes of this user.
add packs a node. SOURCE is a system such as linux-arm64 or linux-arm64@22, which is downloaded from nodejs.org and compared \
with its published hash; or an executable, or a folder or an archive of Node's distribution.
clear removes all runtimes, or those whose hash begins with HASH. Hosts keep their copies.`,
  options: {
    json: { type: "boolean", text: "print JSON: a list of runtimes, or how many were removed" },
    mirror: {
      type: "string",
      value: "URL",
      text: "where Node's distributions are; NODEJS_ORG_MIRROR or nodejs.org by default",
    },
  },
  async run(call) {
    const [action, ...operands] = call.operands;
    if (action === "list" && operands.length === 0) return await list(call);
    if (action === "add" && operands.length > 0) return await add(call, operands);
    if (action === "clear") return await clear(call, operands);
    if (action === "add")
      throw new UsageError("Which runtime? Write a system such as linux-arm64@22, or a path", "runtime");
    throw new UsageError(
      action === undefined || action === "list"
        ? "runtime needs one of: list, add SOURCE, clear"
        : `runtime has no "${action}"; it has list, add and clear`,
      "runtime",
    );
  },
};

async function list({ values, out }: Call): Promise<number> {
  const runtimes = await listRuntimes();
  if (values["json"] === true) out.print(JSON.stringify(runtimes, undefined, 2));
  else if (runtimes.length === 0) out.note("No runtimes yet.");
  else for (const runtime of runtimes) out.print(line(runtime));
  return ExitStatus.Ok;
}

async function add({ values, out }: Call, sources: readonly string[]): Promise<number> {
  const mirror = values["mirror"] as string | undefined;
  const added: RuntimeInfo[] = [];
  for (const source of sources) {
    const runtime = await addRuntime(source, mirror === undefined ? {} : { mirror });
    added.push(runtime);
    if (values["json"] !== true) out.print(line(runtime));
  }
  if (values["json"] === true) out.print(JSON.stringify(added, undefined, 2));
  return ExitStatus.Ok;
}

async function clear({ values, out }: Call, hashes: readonly string[]): Promise<number> {
  const known = (await listRuntimes()).map(({ hash }) => hash);
  const wanted = hashes.map((written) => {
    const found = known.filter((hash) => hash.startsWith(written));
    if (found.length === 1) return found[0];
    throw new UsageError(
      found.length === 0
        ? `There is no runtime "${written}"; see mitogen runtime list`
        : `Several runtimes begin with "${written}"; write more of the hash`,
      "runtime",
    );
  });
  let removed = wanted.length === 0 ? await clearRuntimes() : 0;
  for (const hash of wanted) removed += await clearRuntimes(hash);
  out.print(values["json"] === true ? JSON.stringify({ removed }) : `${removed} removed`);
  return ExitStatus.Ok;
}

function line(runtime: RuntimeInfo): string {
  const { libc, hasLibraries, isAdded } = runtime;
  const facts = [libc, ...(hasLibraries ? ["with libraries"] : []), ...(isAdded ? ["added"] : [])].join(", ");
  const system = `${runtime.platform}-${runtime.arch}`;
  const version = runtime.version || "?";
  const size = `${(runtime.packedBytes / MIB).toFixed(1)} MiB`;
  return oneLine(
    `${runtime.hash.slice(0, SHORT_HASH)}  ${system.padEnd(12)}  ${version.padEnd(10)}  ${size.padStart(9)}  ${facts}`,
  );
}
