import type { Facts } from "../../fleet/engine/facts.ts";
import type { Command } from "../command.ts";
import { CONNECT_OPTIONS, HOST_OPTIONS, openFleet } from "../open-fleet.ts";
import { checkReportOptions, REPORT_OPTIONS, report } from "../report.ts";
import { shortSize } from "../screen/fit.ts";

export const command: Command = {
  name: "facts",
  summary: "shows system, processors, memory, load, node and user of hosts",
  usage: ["--on HOSTS [options]"],
  text: "Gathers the usual facts in one call for each host. With --json, every fact has its own name: docs/fleet.md.",
  options: { ...HOST_OPTIONS, ...CONNECT_OPTIONS, ...REPORT_OPTIONS },
  async run(call) {
    checkReportOptions(call);
    await using open = await openFleet(call);
    return await report(open.fleet.facts(open.runOptions), call, open, { show: inWords, isKept: false });
  },
};

function inWords(facts: Facts): string {
  const {
    hostname,
    os,
    platform,
    arch,
    kernel,
    cpus,
    totalMemoryBytes,
    freeMemoryBytes,
    load,
    nodeVersion,
    user,
  } = facts;
  return [
    hostname,
    os.name || `${platform} ${kernel}`,
    arch,
    `${cpus} CPUs`,
    `${shortSize(freeMemoryBytes)} of ${shortSize(totalMemoryBytes)} free`,
    `load ${load[0].toFixed(2)}`,
    `up ${uptime(facts.uptimeSeconds)}`,
    `node ${nodeVersion}`,
    `as ${user}`,
  ].join(", ");
}

function uptime(seconds: number): string {
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 86_400) return `${Math.floor(seconds / 3600)} h`;
  return `${Math.floor(seconds / 86_400)} d`;
}
