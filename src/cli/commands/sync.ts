import { existsSync } from "node:fs";
import { resolve } from "node:path";
import type { Call, Command } from "../command.ts";
import { dryRun } from "../dry-run.ts";
import { FLEET_OPTIONS, openFleet } from "../open-fleet.ts";
import { checkReportOptions, REPORT_OPTIONS, report } from "../report.ts";
import { showTransfer } from "../show-transfer.ts";
import type { TransferSpec } from "../transfers/transfer-work.ts";
import { UsageError } from "../usage-error.ts";

/** `--rsh`, and `-e` alone or behind letters that take no value: rsync would leave the connection, for a host named "host". */
const OTHER_SHELL = /^(?:--rsh(?:=|$)|-[acghiklmnopqrtuvxzADHPRSWX]*e)/;

export const command: Command = {
  name: "sync",
  summary: "copies a local folder to hosts with rsync",
  usage: ["--on HOSTS [options] FOLDER DESTINATION [-- RSYNC-OPTION...]"],
  text: `Runs "rsync -a" from this machine to every host, over the connection that this program already has: through hops, as another \
user, into containers, without another login. rsync must be installed on this machine and on the hosts. As with rsync, a / at the \
end of FOLDER means its contents.

  mitogen sync --on @web --sudo site/ /srv/www/ -- --delete --exclude .git`,
  options: { ...FLEET_OPTIONS, ...REPORT_OPTIONS },
  async run(call) {
    checkReportOptions(call);
    const spec = specOf(call);
    const skipped = await dryRun(call, `sync ${spec.source} to ${spec.destination}`);
    if (skipped !== undefined) return skipped;
    await using open = await openFleet(call);
    const run = open.fleet.transfer(spec, open.runOptions);
    return await report(run, call, open, { show: showTransfer });
  },
};

function specOf({ operands, rest = [], name }: Call): Extract<TransferSpec, { kind: "sync" }> {
  const [source, destination, ...others] = operands;
  if (source === undefined || destination === undefined || others.length > 0) {
    throw new UsageError(
      "sync takes a local folder and a folder on the hosts, as in: mitogen sync --on web1 site/ /srv/www/",
      name,
    );
  }
  if (destination === "") throw new UsageError("The place on the hosts is empty: where to?", name);
  if (!existsSync(source)) throw new UsageError(`There is no folder "${source}"`, name);
  const word = rest.find((each) => !each.startsWith("-"));
  if (word !== undefined && rest[0] === word) {
    throw new UsageError(`Only options of rsync may follow --, such as --delete; got "${word}"`, name);
  }
  const shell = rest.find((each) => OTHER_SHELL.test(each));
  if (shell !== undefined) {
    throw new UsageError(
      `sync reaches hosts by itself, so rsync cannot have another shell; leave out "${shell}"`,
      name,
    );
  }
  // Absolute, and with its slash, which means something to rsync.
  return {
    kind: "sync",
    source: resolve(source) + (source.endsWith("/") ? "/" : ""),
    destination,
    rsyncArgs: rest,
  };
}
