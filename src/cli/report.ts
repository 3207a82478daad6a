import type { FleetRun } from "../fleet/fleet-run.ts";
import type { FleetEvent, FleetSummary, HostResult } from "../fleet/result.ts";
import type { Call, OptionTable } from "./command.ts";
import type { Events } from "./events.ts";
import { ExitStatus } from "./exit-status.ts";
import { HumanReport } from "./human-report.ts";
import { type JsonDocument, type JsonResult, jsonEvent, jsonParts, jsonResult, toJson } from "./json.ts";
import { saveLastRun } from "./last-run.ts";
import type { OpenFleet } from "./open-fleet.ts";
import type { Terminal } from "./screen/terminal.ts";
import { UsageError } from "./usage-error.ts";

/** How results are shown. */
export const REPORT_OPTIONS: OptionTable = {
  json: { type: "boolean", text: "print one JSON document at the end: docs/cli-results.schema.json" },
  ndjson: { type: "boolean", text: "print events as they happen, one JSON document a line" },
  fold: { type: "boolean", text: "print equal outputs once, with the hosts that printed them" },
  quiet: { type: "boolean", short: "q", text: "print no output of hosts" },
};

/** How a command wants its results to be shown. */
export interface ReportOptions<T> {
  /** The lines that show a value to people; undefined for none. Foreign text is made harmless later. */
  readonly show?: (value: T) => string | undefined;
  /** The result for JSON, if its value is not enough. */
  readonly jsonValue?: (result: HostResult<T>) => unknown;
  /** Whether `--rerun failed` may refer to this run; true by default. */
  readonly isKept?: boolean;
}

/**
 * Performs the run and shows its results as the options say: live on a terminal, otherwise in plain lines, or as JSON.
 * Returns the exit status.
 */
export async function report<T>(
  run: FleetRun<T>,
  call: Call,
  open: OpenFleet,
  options: ReportOptions<T> = {},
): Promise<number> {
  checkReportOptions(call);
  const results = call.values["json"]
    ? await asJson(run, call, open, options)
    : call.values["ndjson"]
      ? await asEvents(run, call, open, options)
      : await forPeople(run, call, open, options);
  if (options.isKept !== false) saveLastRun({ on: open.on, results });
  return exitStatusOf(run.summary);
}

/** Throws a UsageError for options that exclude each other. Call it before anything starts. */
export function checkReportOptions({ values, name }: Call): void {
  const given = ["json", "ndjson", "fold"].filter((option) => values[option]);
  if (given.length > 1) throw new UsageError(`Use only one of --${given.join(" and --")}`, name);
}

/** Failures weigh more than hosts that could not be reached: what ran and failed must be looked at. */
function exitStatusOf({ failed, unreachable }: FleetSummary): number {
  if (failed > 0) return ExitStatus.SomeFailed;
  return unreachable > 0 ? ExitStatus.SomeUnreachable : ExitStatus.Ok;
}

type Statuses = Record<string, HostResult["status"]>;

async function asJson<T>(
  run: FleetRun<T>,
  { out }: Call,
  { events, fleet }: OpenFleet,
  { jsonValue }: ReportOptions<T>,
): Promise<Statuses> {
  // The results contain everything. Events without a listener would be kept.
  events.listen(() => undefined);
  const found = new Map<string, JsonResult>();
  for await (const result of run) found.set(result.host, jsonResult(withValue(result, jsonValue)));
  const results = fleet.hosts.flatMap(({ name }) => found.get(name) ?? []);
  await printDocument(out, { version: 1, summary: run.summary, results });
  return statuses(results);
}

/** Prints the document result by result, because all of it may be longer than a string can be. */
async function printDocument(out: Terminal, { results, ...head }: JsonDocument): Promise<void> {
  const end = "]\n}";
  out.write(toJson({ ...head, results: [] }, 2).slice(0, -end.length));
  for (const [i, result] of results.entries()) {
    out.write(`${i === 0 ? "" : ","}\n    `);
    for (const part of jsonParts(result, 2)) {
      out.write(part.replaceAll("\n", "\n    "));
      await out.drained();
    }
  }
  out.print(results.length === 0 ? end : `\n  ${end}`);
}

async function asEvents<T>(
  run: FleetRun<T>,
  { out }: Call,
  { events }: OpenFleet,
  { jsonValue }: ReportOptions<T>,
): Promise<Statuses> {
  const results: Pick<HostResult, "host" | "status">[] = [];
  listen(events, out, (event) => {
    const told =
      event.type === "result"
        ? { ...event, result: withValue(event.result as HostResult<T>, jsonValue) }
        : event;
    for (const part of jsonParts(jsonEvent(told), 0, "\n")) out.write(part);
  });
  for await (const { host, status } of run) results.push({ host, status });
  return statuses(results);
}

async function forPeople<T>(
  run: FleetRun<T>,
  call: Call,
  { events, fleet }: OpenFleet,
  { show }: ReportOptions<T>,
): Promise<Statuses> {
  const { out, values, signal } = call;
  const human = new HumanReport(out, fleet.hosts.length, {
    isFolded: values["fold"] === true,
    isQuiet: values["quiet"] === true,
    show: (value) => show?.(value as T),
  });
  const ended: Pick<HostResult, "host" | "status">[] = [];
  try {
    listen(events, out, (event) => human.event(event));
    for await (const { host, status } of run) ended.push({ host, status });
  } finally {
    human.end(
      run.summary,
      fleet.hosts.map(({ name }) => name),
      signal.aborted,
    );
  }
  return statuses(ended);
}

/**
 * Shows events. A command waits until its output is read. Functions cannot wait, so too much of their output is left
 * out.
 */
function listen(events: Events, out: Terminal, show: (event: FleetEvent) => void): void {
  events.listen((event) => {
    if (event.type === "output" && out.isOverfull) out.leaveOut();
    else show(event);
    return out.drained();
  });
}

function withValue<T>(result: HostResult<T>, jsonValue: ReportOptions<T>["jsonValue"]): HostResult {
  const value = jsonValue === undefined ? result.value : jsonValue(result);
  // A command that failed has a value, too.
  return value === undefined ? result : ({ ...result, value } as HostResult);
}

function statuses(results: readonly Pick<HostResult, "host" | "status">[]): Statuses {
  // Names of hosts may be anything, `__proto__` too.
  return Object.fromEntries(results.map(({ host, status }) => [host, status]));
}
