import type { RunResult } from "../../commands/command-run.ts";
import type { HostResult } from "../../fleet/result.ts";
import { quoteForSh } from "../../text/shell-quote.ts";
import { read } from "../../wire/values/thrown.ts";
import type { Call, Command } from "../command.ts";
import { dryRun } from "../dry-run.ts";
import { FLEET_OPTIONS, openFleet } from "../open-fleet.ts";
import { checkReportOptions, REPORT_OPTIONS, report } from "../report.ts";
import { UsageError } from "../usage-error.ts";

export const command: Command = {
  name: "exec",
  summary: "runs a command on hosts",
  usage: ["--on HOSTS [options] -- COMMAND [ARGS...]", "--on HOSTS --shell [options] -- 'COMMAND LINE'"],
  text: `Runs a program on every host with its arguments unchanged: no shell on the host reads them. With --shell, the one word after \
-- is a command line for /bin/sh.

A host is ok if the command ends with exit code 0. Otherwise it is failed. The exit code of each host is shown, and is in \
the "value" of --json. Commands get no input.

  mitogen exec --on @web -- systemctl is-active nginx
  mitogen exec --on local:3 --fold --shell -- 'df -h / | tail -1'`,
  options: {
    shell: { type: "boolean", text: "have /bin/sh read the command: pipes, variables, wildcards" },
    cwd: { type: "string", value: "FOLDER", text: "the working folder of the command on the host" },
    ...FLEET_OPTIONS,
    ...REPORT_OPTIONS,
  },
  async run(call) {
    checkReportOptions(call);
    const words = commandOf(call);
    const shell = call.values["shell"] === true;
    const skipped = await dryRun(call, `run ${shell ? words[0] : words.map(quoteForSh).join(" ")}`);
    if (skipped !== undefined) return skipped;
    const cwd = call.values["cwd"] as string | undefined;
    await using open = await openFleet(call);
    const run = open.fleet.exec(shell ? (words[0] as string) : words, {
      ...open.runOptions,
      ...(shell && { shell: "/bin/sh" }),
      ...(cwd !== undefined && { cwd }),
    });
    return await report(run, call, open, { jsonValue });
  },
};

function commandOf({ rest, operands, values, name }: Call): string[] {
  const [word = "", ...others] = rest ?? [];
  if (operands.length > 0) {
    throw new UsageError(
      `Put the command after --, as in "mitogen exec --on web1 -- ${operands.join(" ")}"`,
      name,
    );
  }
  if (word === "")
    throw new UsageError('Which command? Put it after --, as in "mitogen exec --on web1 -- uptime"', name);
  if (values["shell"] === true) {
    if (others.length === 0) return [word];
    throw new UsageError("--shell takes the command line as one word: put it in quotes", name);
  }
  if (others.length === 0 && /\s/.test(word)) {
    throw new UsageError(
      `There is no program "${word}": leave out the quotes, or pass --shell to have a shell read it`,
      name,
    );
  }
  return [word, ...others];
}

/** Failed hosts have a value, too: their exit code and output. */
function jsonValue({ value, error }: HostResult<RunResult>): unknown {
  if (value !== undefined || read(Object(error), "code") !== "ERR_COMMAND") return value;
  const [exitCode, signal, stdout, stderr, durationMs] = [
    "exitCode",
    "signal",
    "stdout",
    "stderr",
    "durationMs",
  ].map((name) => read(Object(error), name));
  return { exitCode, signal, stdout, stderr, durationMs };
}
