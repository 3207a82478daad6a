import type { Command } from "../command.ts";
import { CONNECT_OPTIONS, HOST_OPTIONS, openFleet } from "../open-fleet.ts";
import { checkReportOptions, REPORT_OPTIONS, report } from "../report.ts";

export const command: Command = {
  name: "ping",
  summary: "connects to hosts and measures how fast they answer",
  usage: ["--on HOSTS [options]"],
  text: "Connects to every host and measures the round trip of one message: what a function call costs in addition to its own work.",
  options: { ...HOST_OPTIONS, ...CONNECT_OPTIONS, ...REPORT_OPTIONS },
  async run(call) {
    checkReportOptions(call);
    await using open = await openFleet(call);
    return await report(open.fleet.ping(open.runOptions), call, open, {
      show: (ms) => `${ms.toFixed(1)} ms`,
      isKept: false,
    });
  },
};
