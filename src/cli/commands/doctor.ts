import { Router } from "../../connection/router.ts";
import { oneLine, showControls } from "../../text/harmless.ts";
import { Broker } from "../../waiting/broker.ts";
import type { Command } from "../command.ts";
import type { Finding } from "../doctor/finding.ts";
import { walk } from "../doctor/walk.ts";
import { ExitStatus } from "../exit-status.ts";
import { toJson } from "../json.ts";
import { CONNECT_OPTIONS, HOST_OPTIONS, prepareFleet } from "../open-fleet.ts";
import { hang } from "../screen/fit.ts";
import type { Terminal } from "../screen/terminal.ts";

const DEFAULT_TIMEOUT_MS = 30_000;
const WORD_COLUMNS = 12;

const MARGIN = " ".repeat(WORD_COLUMNS + 9);
const { parallel, retry, through, ...OPTIONS } = CONNECT_OPTIONS;

export const command: Command = {
  name: "doctor",
  summary: "connects step by step, and says what is wrong and how to fix it",
  usage: ["--on HOSTS [options]"],
  text: `Connects to each host step by step. Checks that ssh is installed, what ssh_config says about the host, the host's name, \
its port, the login, the shell, node, and a first call. Stops at the first step that is wrong, says what to do, and shows a \
command that fails in the same way by hand.

Works on one host after the other, and leaves nothing on the hosts.`,
  options: {
    ...HOST_OPTIONS,
    ...OPTIONS,
    json: {
      type: "boolean",
      text: "print one JSON document: { version, hosts: [{ host, isWell, findings }] }",
    },
  },
  async run(call) {
    const { out, signal, values } = call;
    const { hosts, connectOptions } = await prepareFleet(call);
    const { timeoutMs = DEFAULT_TIMEOUT_MS, provision } = connectOptions;
    const limits = { timeoutMs, ...(provision !== undefined && { provision }) };
    const isJson = values["json"] === true;
    const all: { host: string; isWell: boolean; findings: Finding[] }[] = [];
    await using broker = new Broker();
    const router = new Router(broker);
    for (const host of hosts) {
      if (signal.aborted) break;
      const findings: Finding[] = [];
      if (!isJson) out.print(out.colours.bold(oneLine(host.name)));
      for await (const finding of walk(router, host, limits, signal)) {
        findings.push(finding);
        if (!isJson) show(finding, out);
      }
      all.push({ host: host.name, isWell: findings.every(({ isWell }) => isWell), findings });
    }
    if (isJson) out.print(toJson({ version: 1, hosts: all }, 2));
    return all.every(({ isWell }) => isWell) ? ExitStatus.Ok : ExitStatus.SomeUnreachable;
  },
};

function show({ what, isWell, text, cure, byHand }: Finding, out: Terminal): void {
  const { green, red, bold } = out.colours;
  const mark = isWell ? green("ok   ") : red("WRONG");
  const lines = showControls(text, "\n").split("\n");
  out.print(`  ${mark} ${what.padEnd(WORD_COLUMNS)} ${lines.join(`\n${MARGIN}`)}`);
  if (cure !== undefined) {
    const line = `cure: ${showControls(cure, " ")}`;
    const text = out.isTerminal ? hang(MARGIN, line, out) : MARGIN + line;
    out.print(text.replace("cure:", bold("cure:")));
  }
  if (byHand !== undefined) out.print(`${MARGIN}${bold("by hand:")} ${showControls(byHand, " ")}`);
}
