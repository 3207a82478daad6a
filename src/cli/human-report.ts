import type { FleetEvent, FleetSummary, HostResult } from "../fleet/result.ts";
import { oneLine, showControls } from "../text/harmless.ts";
import { cut, MAX_MESSAGE } from "../wire/values/error-value.ts";
import { failureText, placeOfFailure } from "./screen/failure-text.ts";
import { hang, widthOf } from "./screen/fit.ts";
import { foldNames } from "./screen/fold-names.ts";
import { hostColour, statusColour } from "./screen/host-colours.ts";
import { LiveScreen } from "./screen/live-screen.ts";
import { type Row, summaryLine, table } from "./screen/table.ts";
import type { Terminal } from "./screen/terminal.ts";

/** How much of a text is made harmless at once; further, up to the end of a line. */
const BLOCK = 64 * 1024;
/** Longer lines are cut. */
const MAX_LINE = 16 * 1024 * 1024;
/** The first line of a result is a note in the table. */
const MAX_NOTE = 1000;

export interface HumanReportOptions {
  /** Equal outputs once, at the end. */
  readonly isFolded: boolean;
  readonly isQuiet: boolean;
  readonly show: (value: unknown) => string | undefined;
}

/**
 * Shows a run to people. On a terminal: live lines, what hosts print above them, a table at the end. Elsewhere: what hosts print
 * and return on stdout, and everything else on stderr.
 */
export class HumanReport {
  /** The hosts that have ended, in the order in which they ended. */
  readonly rows: Row[] = [];
  readonly #out: Terminal;
  readonly #options: HumanReportOptions;
  readonly #screen: LiveScreen | undefined;
  /** With `isFolded`: the hosts by their output. */
  readonly #groups: Map<string, string[]> = new Map();

  constructor(out: Terminal, total: number, options: HumanReportOptions) {
    this.#out = out;
    this.#options = options;
    this.#screen = out.isTerminal ? new LiveScreen(out, total) : undefined;
  }

  event(event: FleetEvent): void {
    this.#screen?.event(event);
    if (event.type === "output") {
      const { isFolded, isQuiet } = this.#options;
      if (!isFolded && !isQuiet) this.#lines(event.host, event.text, event.stream === "stdout");
    } else if (event.type === "result") this.#result(event.result);
  }

  /** Shows the results of a run. `order` is the order of the hosts. */
  end(summary: FleetSummary, order: readonly string[], isInterrupted: boolean): void {
    if (this.#out.isClosed) {
      this.#screen?.end();
      return;
    }
    const { bold } = this.#out.colours;
    const groups = [...this.#groups].map(([text, hosts]) => {
      const count = hosts.length === 1 ? "" : ` (${hosts.length} hosts)`;
      return `${bold(`== ${oneLine(foldNames(sorted(hosts, order)))}${count}`)}\n${text}`;
    });
    const rows = sortedRows(this.rows, order);
    const line = `${isInterrupted ? "Interrupted. " : ""}${summaryLine(summary, rows, this.#out)}`;
    if (this.#screen === undefined) {
      for (const group of groups) this.#out.print(group);
      this.#out.note(line);
    } else this.#screen.end([...groups, ...table(rows, this.#out), line]);
  }

  #result(result: HostResult): void {
    const { host, status, value, error, output, durationMs } = result;
    const shown = status === "ok" ? this.#options.show(value) : undefined;
    const why = error === undefined ? "" : cut(failureText(error), MAX_MESSAGE);
    const [first = ""] = (status === "ok" ? (shown ?? "") : why).slice(0, MAX_NOTE).split("\n");
    this.rows.push({ host: oneLine(host), status, durationMs, note: oneLine(first) });
    const place = error === undefined ? undefined : placeOfFailure(error);
    const failure =
      status === "failed" || status === "unreachable"
        ? `${status}: ${why}${place === undefined ? "" : `\n  ${place}`}`
        : undefined;
    if (this.#options.isFolded) {
      const parts = [this.#options.isQuiet ? undefined : output, shown, failure];
      const text = parts
        .filter((part) => part !== undefined && part !== "")
        .map((part) => [...shownLines(part as string)].join("\n"));
      if (text.length > 0) this.#fold(text.join("\n"), host);
      return;
    }
    if (shown !== undefined) this.#lines(host, shown, true);
    if (failure !== undefined) {
      this.#lines(host, this.#wrapped(host, failure), false, statusColour(status, this.#out));
    }
  }

  /** On a terminal, words that do not fit behind the host's name begin a new line. */
  #wrapped(host: string, text: string): string {
    if (this.#screen === undefined) return text;
    const head = `${oneLine(host)}: `;
    const room = this.#out.columns - widthOf(head);
    const fits = (line: string): boolean => widthOf(line) <= room;
    const wrap = (line: string): string => hang(head, line, this.#out).slice(head.length);
    return text
      .split("\n")
      .map((line) => (fits(line) ? line : wrap(line).replace(/\n +/g, "\n")))
      .join("\n");
  }

  #fold(text: string, host: string): void {
    const hosts = this.#groups.get(text);
    if (hosts === undefined) this.#groups.set(text, [host]);
    else hosts.push(host);
  }

  /** Prints lines of a host, each after its name. */
  #lines(
    host: string,
    text: string,
    isResult: boolean,
    colour: (line: string) => string = (line) => line,
  ): void {
    const prefix = hostColour(host, this.#out)(`${oneLine(host)}:`);
    for (const shown of shownLines(text)) {
      const line = `${prefix} ${colour(shown)}`.trimEnd();
      if (this.#screen !== undefined) this.#screen.print(line);
      else if (isResult) this.#out.print(line);
      else this.#out.note(line);
    }
  }
}

/**
 * The lines of a text that hosts have sent, made harmless. Some ten thousand characters at a time, because a text may be as
 * long as a message, and V8 ends the process if too many characters of one text are replaced.
 */
function* shownLines(text: string): Generator<string, void, undefined> {
  for (let at = 0; at <= text.length; ) {
    const found = text.indexOf("\n", at + BLOCK);
    const end = found < 0 ? text.length : found;
    yield* showControls(cut(text.slice(at, end), MAX_LINE), "\n").split("\n");
    at = end + 1;
  }
}

function sortedRows(rows: readonly Row[], order: readonly string[]): Row[] {
  const places = new Map(order.map((host, place) => [oneLine(host), place]));
  return [...rows].sort((a, b) => (places.get(a.host) ?? 0) - (places.get(b.host) ?? 0));
}

function sorted(hosts: readonly string[], order: readonly string[]): string[] {
  const wanted = new Set(hosts);
  return order.filter((host) => wanted.has(host));
}
