import { statSync } from "node:fs";
import { basename, resolve } from "node:path";
import type { Call, Command } from "../command.ts";
import { dryRun } from "../dry-run.ts";
import { FLEET_OPTIONS, openFleet } from "../open-fleet.ts";
import { checkReportOptions, REPORT_OPTIONS, report } from "../report.ts";
import { checkNames, showTransfer, TIMES_OPTION } from "../show-transfer.ts";
import type { TransferSpec } from "../transfers/transfer-work.ts";
import { UsageError } from "../usage-error.ts";

export const command: Command = {
  name: "put",
  summary: "copies files to hosts",
  usage: ["--on HOSTS [options] FILE... DESTINATION"],
  text: `Copies files to every host. If DESTINATION ends in /, it is a folder, which must exist. Otherwise it is the name of the one \
file. A relative DESTINATION begins in the folder where the connection starts: usually the home directory of the account.

A file gets its name on the host only when it is complete, has the same SHA-256, and is on the disk. The next put resumes an \
interrupted transfer. For whole folders use "mitogen sync".

  mitogen put --on @web release.tar.gz /srv/app/
  mitogen put --on @web --sudo --mode 0644 motd /etc/motd`,
  options: {
    mode: {
      type: "string",
      value: "OCTAL",
      text: "the permissions of the files on the host; those of the local files by default",
    },
    ...TIMES_OPTION,
    ...FLEET_OPTIONS,
    ...REPORT_OPTIONS,
  },
  async run(call) {
    checkReportOptions(call);
    const spec = specOf(call);
    const skipped = await dryRun(call, `put ${spec.sources.join(" ")} to ${spec.destination}`);
    if (skipped !== undefined) return skipped;
    await using open = await openFleet(call);
    const run = open.fleet.transfer(spec, open.runOptions);
    return await report(run, call, open, { show: showTransfer });
  },
};

function specOf({ operands, values, name }: Call): Extract<TransferSpec, { kind: "put" }> {
  const sources = operands.slice(0, -1);
  const destination = operands.at(-1);
  if (destination === undefined || sources.length === 0) {
    throw new UsageError("Which files, and where to? As in: mitogen put --on web1 motd /etc/motd", name);
  }
  if (destination === "") throw new UsageError("The place on the hosts is empty: where to?", name);
  if (sources.length > 1 && !destination.endsWith("/")) {
    throw new UsageError(`Several files need a folder: write "${destination}/"`, name);
  }
  checkNames(
    sources.map((source) => basename(source)),
    name,
  );
  return {
    kind: "put",
    sources: sources.map((source) => checkFile(source, name)),
    destination,
    mode: modeOf(values["mode"] as string | undefined, name),
    times: values["times"] === true,
  };
}

/** Checked once, before anything goes to a host: a typing error must not become one failure for each host. */
function checkFile(source: string, command: string): string {
  const found = statSync(source, { throwIfNoEntry: false });
  if (found === undefined) throw new UsageError(`There is no file "${source}"`, command);
  if (found.isDirectory()) {
    throw new UsageError(`"${source}" is a folder: put takes files; use "mitogen sync" for folders`, command);
  }
  if (!found.isFile()) throw new UsageError(`"${source}" is not a regular file`, command);
  return resolve(source);
}

function modeOf(text: string | undefined, command: string): number | undefined {
  if (text === undefined) return undefined;
  if (!/^[0-7]{3,4}$/.test(text)) {
    throw new UsageError(`--mode must be permissions in octal such as 0644, got "${text}"`, command);
  }
  return Number.parseInt(text, 8);
}
