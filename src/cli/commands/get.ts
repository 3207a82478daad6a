import { statSync } from "node:fs";
import { posix, resolve } from "node:path";
import type { Call, Command } from "../command.ts";
import { dryRun } from "../dry-run.ts";
import { FLEET_OPTIONS, openFleet } from "../open-fleet.ts";
import { checkReportOptions, REPORT_OPTIONS, report } from "../report.ts";
import { checkNames, showTransfer, TIMES_OPTION } from "../show-transfer.ts";
import type { TransferSpec } from "../transfers/transfer-work.ts";
import { UsageError } from "../usage-error.ts";

export const command: Command = {
  name: "get",
  summary: "copies files from hosts",
  usage: ["--on HOSTS [options] FILE... FOLDER"],
  text: `Copies files of every host into the local folder FOLDER/HOST/. Missing folders are made. Characters of a host's name \
that do not belong in a file name are written as % and two hexadecimal digits for each byte.

A file gets its name only when it is complete, has the same SHA-256, and is on the disk. The next get resumes an \
interrupted transfer.

  mitogen get --on @web /var/log/nginx/error.log logs`,
  options: { ...TIMES_OPTION, ...FLEET_OPTIONS, ...REPORT_OPTIONS },
  async run(call) {
    checkReportOptions(call);
    const spec = specOf(call);
    const skipped = await dryRun(call, `get ${spec.sources.join(" ")} into ${spec.destination}`);
    if (skipped !== undefined) return skipped;
    await using open = await openFleet(call);
    const run = open.fleet.transfer(spec, open.runOptions);
    return await report(run, call, open, { show: showTransfer });
  },
};

function specOf({ operands, values, name }: Call): Extract<TransferSpec, { kind: "get" }> {
  const sources = operands.slice(0, -1);
  const destination = operands.at(-1);
  if (destination === undefined || sources.length === 0) {
    throw new UsageError(
      "Which files, and into which folder? As in: mitogen get --on web1 /etc/motd copies",
      name,
    );
  }
  checkNames(
    sources.map((source) => posix.basename(source)),
    name,
  );
  if (statSync(destination, { throwIfNoEntry: false })?.isDirectory() === false)
    throw new UsageError(`"${destination}" is not a folder: get makes a folder for each host in it`, name);
  return { kind: "get", sources, destination: resolve(destination), times: values["times"] === true };
}
