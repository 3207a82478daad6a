import type { FleetEvent, FleetSummary, HostStatus } from "../../fleet/result.ts";
import { oneLine, withoutControls } from "../../text/harmless.ts";
import { monotonicMs } from "../../waiting/monotonic.ts";
import { cut, pad, shortSize, shortTime, widthOf } from "./fit.ts";
import { hostColour } from "./host-colours.ts";
import type { Terminal } from "./terminal.ts";

/** How often the live part is redrawn. */
const REDRAW_MS = 100;
const LONGEST_NAME = 24;
const BAR_COLUMNS = 20;
const HIDE_CURSOR = "\x1b[?25l";
const SHOW_CURSOR = "\x1b[?25h";
const CLEAR_LINE = "\x1b[K";
/** Clears from the cursor to the end of the screen. */
const CLEAR = "\x1b[J";
/** A host's last line is kept up to here; no terminal shows more of it. */
const LONGEST_NOTE = 500;

interface Running {
  readonly phase: "connecting" | "running";
  readonly since: number;
  note: string;
}

/**
 * The live part of a terminal: a line for each host that is worked on, or a bar if they do not fit. Other lines
 * go above it. The cursor is hidden until {@link end}.
 */
export class LiveScreen {
  readonly #out: Terminal;
  readonly #total: number;
  readonly #running: Map<string, Running> = new Map();
  readonly #counts: Record<HostStatus, number> = { ok: 0, failed: 0, unreachable: 0, skipped: 0 };
  readonly #timer: NodeJS.Timeout;
  readonly #stopResize: () => void;
  readonly #restore = (): void => this.#out.write(`${CLEAR}${SHOW_CURSOR}`);
  /** Stops the program, as SIGTSTP does without a listener, until the shell continues it. */
  readonly #suspend = (): void => {
    this.#out.write(`${this.#toTop()}${this.#takeAbove()}${CLEAR}${SHOW_CURSOR}`);
    this.#drawn = [];
    process.once("SIGCONT", this.#resume);
    process.off("SIGTSTP", this.#suspend);
    process.kill(process.pid, "SIGTSTP");
  };
  readonly #resume = (): void => {
    process.on("SIGTSTP", this.#suspend);
    this.#out.write(HIDE_CURSOR);
    this.draw();
  };
  /** Lines that wait for the next drawing. */
  #above: string[] = [];
  /** The widths of the lines that are drawn, from the top. */
  #drawn: number[] = [];
  #isOver = false;

  constructor(out: Terminal, total: number) {
    this.#out = out;
    this.#total = total;
    out.write(HIDE_CURSOR);
    // A second Ctrl-C ends the program at once.
    process.once("exit", this.#restore);
    process.on("SIGTSTP", this.#suspend);
    this.#timer = setInterval(() => this.draw(), REDRAW_MS);
    this.#timer.unref();
    this.#stopResize = out.onResize(() => this.draw());
  }

  /** Takes note of what happens; prints nothing above the live part. */
  event(event: FleetEvent): void {
    switch (event.type) {
      case "connecting":
        this.#running.set(event.host, { phase: "connecting", since: monotonicMs(), note: "" });
        break;
      case "connected":
        this.#running.delete(event.host);
        break;
      case "start":
        this.#running.set(event.host, { phase: "running", since: monotonicMs(), note: "" });
        break;
      case "output":
        this.#note(event.host, withoutControls(event.text.slice(0, LONGEST_NOTE)));
        break;
      case "progress": {
        const { host, bytes, totalBytes } = event;
        const share = totalBytes
          ? ` of ${shortSize(totalBytes)}, ${Math.floor((100 * bytes) / totalBytes)}%`
          : "";
        this.#note(host, `${shortSize(bytes)}${share}`);
        break;
      }
      case "result":
        this.#running.delete(event.result.host);
        this.#counts[event.result.status] += 1;
        break;
      case "summary":
        break;
      default:
        event satisfies never;
    }
  }

  /** Writes lines above the live part. */
  print(lines: string): void {
    this.#above.push(lines);
  }

  /** Replaces the live part by these lines and shows the cursor again. Safe to call twice. */
  end(lines: readonly string[] = []): void {
    if (this.#isOver) return;
    this.#isOver = true;
    clearInterval(this.#timer);
    this.#stopResize();
    process.off("exit", this.#restore);
    process.off("SIGTSTP", this.#suspend);
    process.off("SIGCONT", this.#resume);
    for (const line of lines) this.print(line);
    this.#out.write(`${this.#toTop()}${this.#takeAbove()}${CLEAR}${SHOW_CURSOR}`);
  }

  /** Redraws the live part, below the lines that were printed. */
  draw(): void {
    if (this.#isOver) return;
    const lines = this.#lines();
    // Line by line: terminals keep what is on a screen that is cleared as a whole.
    const text = lines.map(({ shown }) => `${shown}${CLEAR_LINE}`).join("\n");
    this.#out.write(`${this.#toTop()}${this.#takeAbove()}${text}${CLEAR}`);
    this.#drawn = lines.map(({ width }) => width);
  }

  #note(host: string, note: string): void {
    const running = this.#running.get(host);
    if (running !== undefined && note.trim() !== "") running.note = note;
  }

  #takeAbove(): string {
    if (this.#above.length === 0) return "";
    const text = this.#above
      .map((lines) => `${lines.replaceAll("\n", `${CLEAR_LINE}\n`)}${CLEAR_LINE}\n`)
      .join("");
    this.#above = [];
    return text;
  }

  /** Moves the cursor to where the live part begins. A terminal that became narrower has wrapped its lines. */
  #toTop(): string {
    const { columns } = this.#out;
    const rows = this.#drawn.reduce((sum, width) => sum + Math.max(1, Math.ceil(width / columns)), 0);
    return rows > 1 ? `\r\x1b[${rows - 1}A` : "\r";
  }

  #lines(): { shown: string; width: number }[] {
    // The last column stays free: some terminals wrap when it is written.
    const columns = this.#out.columns - 1;
    const bar = this.#bar(columns);
    if (this.#running.size > Math.max(1, Math.floor(this.#out.rows / 2))) return [bar];
    const longest = Math.min(LONGEST_NAME, Math.floor(columns / 2));
    const names = Math.min(
      longest,
      Math.max(0, ...[...this.#running.keys()].map((name) => widthOf(oneLine(name)))),
    );
    const hosts = [...this.#running].map(([host, { phase, since, note }]) => {
      const name = pad(cut(oneLine(host), names), names);
      const doing = note === "" ? phase : note;
      const rest = cut(
        `  ${shortTime(monotonicMs() - since).padStart(6)}  ${doing}`,
        Math.max(0, columns - names),
      );
      return { shown: `${hostColour(host, this.#out)(name)}${rest}`, width: names + widthOf(rest) };
    });
    return [...hosts, bar];
  }

  #bar(columns: number): { shown: string; width: number } {
    const ended = Object.values(this.#counts).reduce((sum, count) => sum + count, 0);
    const full = this.#total === 0 ? 0 : Math.floor((BAR_COLUMNS * ended) / this.#total);
    const bar = columns > 60 ? `[${"#".repeat(full)}${".".repeat(BAR_COLUMNS - full)}] ` : "";
    const running = this.#running.size > 0 ? `, ${this.#running.size} running` : "";
    const text = cut(`${bar}${ended}/${this.#total} hosts${running}${counted(this.#counts)}`, columns);
    return { shown: this.#out.colours.bold(text), width: widthOf(text) };
  }
}

function counted(counts: FleetSummary): string {
  const parts = Object.entries(counts).filter(([, count]) => count > 0);
  return parts.map(([status, count]) => `, ${count} ${status}`).join("");
}
