import type { Host } from "../fleet/host.ts";
import { oneLine } from "../text/harmless.ts";
import type { Call } from "./command.ts";
import { ExitStatus } from "./exit-status.ts";
import { toJson } from "./json.ts";
import { selectHosts } from "./open-fleet.ts";

/**
 * With `--dry-run`: prints what would be done on which host, and returns the exit status. Otherwise returns undefined.
 */
export async function dryRun(call: Call, what: string): Promise<number | undefined> {
  if (call.values["dry-run"] !== true) return undefined;
  const { hosts } = await selectHosts(call);
  const { out, values } = call;
  const sudo = values["sudo"];
  const more = sudo === undefined ? "" : ` > sudo${sudo === true ? "" : ` ${sudo}`}`;
  if (values["json"] || values["ndjson"]) {
    out.print(toJson({ would: what, hosts: hosts.map(({ name }) => name) }));
    return ExitStatus.Ok;
  }
  out.print(`Would ${oneLine(what)} on ${hosts.length} ${hosts.length === 1 ? "host" : "hosts"}:`);
  for (const host of hosts) out.print(`  ${oneLine(host.name)}  ${oneLine(wayTo(host) + more)}`);
  return ExitStatus.Ok;
}

/** How a host is reached, in words: `ssh bastion > ssh db1 > docker app`. Shows no secrets: only names of targets. */
export function wayTo({ steps }: Pick<Host, "steps">): string {
  return steps
    .map((step) => {
      const [[method, options] = ["", {}]] = Object.entries(step) as [string, Record<string, unknown>][];
      const target = TARGETS.map((name) => options[name]).find((value) => typeof value === "string");
      return target === undefined ? method : `${method} ${target}`;
    })
    .join(" > ");
}

const TARGETS = ["hostname", "container", "pod", "username"];
