import type { FleetSummary, HostStatus } from "../../fleet/result.ts";
import { cut, pad, shortTime, widthOf } from "./fit.ts";
import { foldNames } from "./fold-names.ts";
import { statusColour } from "./host-colours.ts";
import type { Terminal } from "./terminal.ts";

/** How a host ended, for the table. */
export interface Row {
  readonly host: string;
  readonly status: HostStatus;
  readonly durationMs: number;
  /** One harmless line. */
  readonly note: string;
}

const LONGEST_NAME = 32;

/**
 * A table with a row for each host. If it does not fit on the screen, hosts that are ok are left out, and then those
 * beyond the screen.
 */
export function table(rows: readonly Row[], out: Terminal): string[] {
  const most = Math.max(10, out.rows - 4);
  const others = rows.length <= most ? rows : rows.filter(({ status }) => status !== "ok");
  const shown = others.slice(0, most);
  const names = Math.min(LONGEST_NAME, Math.max(4, ...shown.map(({ host }) => widthOf(host))));
  const columns = out.isTerminal ? out.columns - 1 : Number.POSITIVE_INFINITY;
  const lines = shown.map(({ host, status, durationMs, note }) => {
    const colour = statusColour(status, out);
    const name = pad(cut(host, names), names);
    const time = shortTime(durationMs).padStart(7);
    const rest = cut(note, Math.max(0, columns - names - 25));
    const word = colour(status.padEnd(11));
    return columns < names + 25
      ? cut(`${name} ${status}`, columns)
      : `${name}  ${word}  ${time}  ${rest}`.trimEnd();
  });
  if (lines.length === 0) return [];
  const head = `${pad("HOST", names)}  ${"STATUS".padEnd(11)}  ${"TIME".padStart(7)}`;
  const more =
    others.length > shown.length ? [cut(`… and ${others.length - shown.length} more`, columns)] : [];
  return [out.colours.bold(cut(head, columns)), ...lines, ...more];
}

/** All hosts in one line: `10 hosts: 7 ok, 1 failed (web3), 2 unreachable (db[1-2])`. */
export function summaryLine(summary: FleetSummary, rows: readonly Row[], out: Terminal): string {
  const parts = (Object.entries(summary) as [HostStatus, number][])
    .filter(([, count]) => count > 0)
    .map(([status, count]) => {
      const names = rows.filter((row) => row.status === status).map(({ host }) => host);
      const which = status === "ok" ? "" : ` (${cut(foldNames(names), 200)})`;
      return statusColour(status, out)(`${count} ${status}${which}`);
    });
  const total = Object.values(summary).reduce((sum, count) => sum + count, 0);
  return `${total} ${total === 1 ? "host" : "hosts"}: ${parts.join(", ") || "nothing was done"}`;
}
