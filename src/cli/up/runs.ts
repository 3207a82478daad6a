import type { Command } from "../../commands/command.ts";
import type { RunResult } from "../../commands/command-run.ts";
import type { Host } from "../../fleet/config/host.ts";
import type { Facts } from "../../fleet/engine/facts.ts";
import type { Fleet } from "../../fleet/fleet.ts";
import type { FleetExecOptions, FleetRunOptions } from "../../fleet/fleet-options.ts";
import type { FleetRun } from "../../fleet/fleet-run.ts";
import type { FunctionRef } from "../../functions/callable.ts";
import { type TransferResult, type TransferSpec, transferWork } from "../transfers/transfer-work.ts";

/** What commands do with a fleet, whoever has its connections. */
export interface Runs {
  readonly hosts: readonly Host[];
  run(fn: FunctionRef, args: readonly unknown[], options: FleetRunOptions): FleetRun<unknown>;
  exec(command: Command, options: FleetExecOptions): FleetRun<RunResult>;
  ping(options: FleetRunOptions): FleetRun<number>;
  facts(options: FleetRunOptions): FleetRun<Facts>;
  transfer(spec: TransferSpec, options: FleetRunOptions): FleetRun<TransferResult>;
}

/** What this program itself has connected. */
export function ownRuns(fleet: Fleet): Runs {
  return {
    hosts: fleet.hosts,
    run: (fn, args, options) => fleet.run(fn, args, options),
    exec: (command, options) => fleet.exec(command, options),
    ping: (options) => fleet.ping(options),
    facts: (options) => fleet.facts(options),
    transfer: (spec, options) => fleet.each(transferWork(spec), options),
  };
}
