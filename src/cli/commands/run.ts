import { inspect } from "node:util";
import type { Command } from "../command.ts";
import { dryRun } from "../dry-run.ts";
import { hasHugeBigint, plain, toJson } from "../json.ts";
import { FLEET_OPTIONS, openFleet } from "../open-fleet.ts";
import { checkReportOptions, REPORT_OPTIONS, report } from "../report.ts";
import { findTask } from "../tasks/task-file.ts";
import { describeTask, helpOf, takeArguments } from "../tasks/task-options.ts";
import { UsageError } from "../usage-error.ts";

/** A longer value is shown over several lines. */
const LONGEST_LINE = 200;

export const command: Command = {
  name: "run",
  summary: "calls a function of yours on hosts",
  usage: ["FILE#FUNCTION --on HOSTS [options] [-- ARGS...]", "FILE#FUNCTION --help"],
  text: `Calls a function that FILE exports on every host. FILE is TypeScript or JavaScript. It is sent to the hosts with everything \
that it imports, and nothing stays there. What the function prints is shown as it arrives, and so is what it returns.

ARGS are passed as strings. With --json-args, a word that is valid JSON is passed as that value.

FILE may export "options", which describe its functions. Then --help explains a function, and ARGS are checked and converted \
before anything starts. See docs/cli.md.

  mitogen run tasks.ts#restart --on @web --batch 1,10% --max-fail 10% -- nginx
  mitogen run tasks.ts#deploy --on local:3 --json-args -- v1.2 '{"force":true}'`,
  options: {
    "json-args": { type: "boolean", text: "pass words that are valid JSON as JSON values" },
    ...FLEET_OPTIONS,
    ...REPORT_OPTIONS,
  },
  async help({ operands, signal }) {
    if (operands.length === 0) return undefined;
    const task = findTask(operands[0]);
    const description = await describeTask(task, signal);
    return description && helpOf(description, task);
  },
  async run(call) {
    checkReportOptions(call);
    const [operand, ...others] = call.operands;
    if (others.length > 0) {
      throw new UsageError(
        `Put the arguments of the function after --, as in "-- ${others.join(" ")}"`,
        call.name,
      );
    }
    const task = findTask(operand);
    const description = await describeTask(task, call.signal);
    const args = takeArguments(call.rest ?? [], description, call.values["json-args"] === true);
    const skipped = await dryRun(call, `call ${operand} with ${toJson(args)}`);
    if (skipped !== undefined) return skipped;
    await using open = await openFleet(call);
    return await report(open.fleet.run(task.fn as never, args as never, open.runOptions), call, open, {
      show,
    });
  },
};

/** A string as it is; any other value as JSON if JSON can express it. */
function show(value: unknown): string | undefined {
  if (value === undefined) return undefined;
  if (typeof value === "string") return value;
  const text = toJson(plain(value));
  return text.length > LONGEST_LINE && !hasHugeBigint(value)
    ? inspect(value, { depth: 6, maxArrayLength: 100, maxStringLength: 10_000 })
    : text;
}
