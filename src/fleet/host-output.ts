import type { Context } from "../core/context.ts";
import { endHints } from "../logging/hint.ts";
import { addLogSink, LogLevel } from "../logging/log.ts";

/** A line that a host printed or logged. */
export interface OutputLine {
  readonly stream: "stdout" | "stderr" | "log";
  readonly text: string;
}

/** A longer line is cut. */
const MAX_LINE = 16 * 1024;
/** How much text of a host is kept for its result. */
const MAX_TAIL = 64 * 1024;
const CUT = "…";

/** Cuts a line that is too long. */
export function boundedLine(text: string): string {
  return text.length > MAX_LINE ? text.slice(0, MAX_LINE) + CUT : text;
}

/** The last lines of a host's output. */
export class LineTail {
  #lines: string[] = [];
  #length = 0;
  #isCut = false;

  add(text: string): void {
    this.#lines.push(text);
    this.#length += text.length + 1;
    if (this.#length > 2 * MAX_TAIL) this.#trim();
  }

  /** The text, one line after the other. Undefined if there was none. */
  get text(): string | undefined {
    if (this.#lines.length === 0) return undefined;
    this.#trim();
    return (this.#isCut ? [CUT, ...this.#lines] : this.#lines).join("\n");
  }

  /** Only now and then, because removing lines from the front takes time. */
  #trim(): void {
    let drop = 0;
    while (this.#length > MAX_TAIL && drop < this.#lines.length - 1) {
      this.#length -= (this.#lines[drop] as string).length + 1;
      drop += 1;
    }
    if (drop === 0) return;
    this.#lines = this.#lines.slice(drop);
    this.#isCut = true;
  }
}

type Listener = (line: OutputLine) => void;

/** Passes on what contexts of a fleet print and log, by host, to the runs that work there. */
export class FleetOutput {
  readonly #hosts: Map<number, { host: string; readonly unwatch: () => void }> = new Map();
  readonly #listeners: Map<string, Set<Listener>> = new Map();
  readonly #stop: () => void;

  /** From now on contexts that connect send what they print. */
  constructor() {
    endHints();
    this.#stop = addLogSink(({ mitogenContext, mitogenName, mitogenMsg }) => {
      if (mitogenContext === undefined) return;
      const host = this.#hosts.get((mitogenContext as Context).contextId)?.host;
      if (host === undefined) return;
      const stream = mitogenName === "stdout" || mitogenName === "stderr" ? mitogenName : "log";
      const text = stream === "log" ? `${mitogenName}: ${mitogenMsg}` : (mitogenMsg ?? "");
      for (const listener of this.#listeners.get(host) ?? []) listener({ stream, text });
    }, LogLevel.info);
  }

  /** The context is that host's, until it is gone. It is watched once, however often a hop names it. */
  note(context: Context, host: string): void {
    const { contextId } = context;
    const known = this.#hosts.get(contextId);
    if (known !== undefined) known.host = host;
    else {
      const unwatch = context.onDisconnect(() => this.#hosts.delete(contextId));
      this.#hosts.set(contextId, { host, unwatch });
    }
  }

  /** Listens to a host until the returned function is called. */
  listen(host: string, listener: Listener): () => void {
    const listeners = this.#listeners.get(host) ?? new Set();
    this.#listeners.set(host, listeners.add(listener));
    return () => {
      listeners.delete(listener);
      if (listeners.size === 0) this.#listeners.delete(host);
    };
  }

  /** Removes its listeners from contexts that the fleet does not own. */
  close(): void {
    this.#stop();
    for (const { unwatch } of this.#hosts.values()) unwatch();
    this.#hosts.clear();
  }
}
