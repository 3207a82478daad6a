import { getLogger } from "../../logging/log.ts";
import { oneLine } from "../../text/harmless.ts";

/** One request worth a line. The text is the child's: cut and made printable before it is kept. */
export interface NotedRequest {
  readonly contextId: number;
  readonly contextName: string;
  readonly text: string;
  /** The module in question, where it is known. */
  readonly id: string | undefined;
}

interface Burst {
  readonly contextName: string;
  /** Since the last line about them. */
  count: number;
  last: string;
  readonly pauseMs: number;
  readonly timer: NodeJS.Timeout;
}

const FIRST_PAUSE_MS = 1_000;
const LONGEST_PAUSE_MS = 60_000;
const MAX_BURSTS = 1_000;
/** Beyond that many contexts at once they share one entry. */
const OTHERS = -1;
const MAX_NOTED = 100;
const MAX_TEXT_CHARS = 1_000;

const log = getLogger("mitogen.responder");

/**
 * Logs requests of one sort as WARNING: the first of a context at once, those that follow it in ever longer pauses by their
 * number. So a child that floods the master with requests does not flood its log. The last ones are kept, to explain.
 */
export class RequestLog {
  readonly #what: string;
  readonly #bursts: Map<number, Burst> = new Map();
  readonly #noted: NotedRequest[] = [];

  /** `what` begins every line, and is followed by the context's name: `Refused a module to`. */
  constructor(what: string) {
    this.#what = what;
  }

  /** The last requests, oldest first. */
  get noted(): readonly NotedRequest[] {
    return this.#noted;
  }

  add(contextId: number, contextName: string, rawText: string, id?: string): void {
    const text = printable(rawText);
    this.#noted.push({ contextId, contextName, text, id });
    if (this.#noted.length > MAX_NOTED) this.#noted.shift();
    const isOwn = this.#bursts.has(contextId) || this.#bursts.size < MAX_BURSTS;
    const key = isOwn ? contextId : OTHERS;
    const burst = this.#bursts.get(key);
    if (burst !== undefined) {
      burst.count += 1;
      burst.last = text;
      return;
    }
    log.warning(`${this.#what} ${contextName}: ${text}`);
    this.start(key, isOwn ? contextName : "other contexts", FIRST_PAUSE_MS);
  }

  /** Says what has not been said yet: the context is gone. */
  end(contextId: number): void {
    const burst = this.#bursts.get(contextId);
    if (burst === undefined) return;
    clearTimeout(burst.timer);
    this.#bursts.delete(contextId);
    this.summarise(burst);
  }

  private start(key: number, contextName: string, pauseMs: number): void {
    const timer = setTimeout(() => this.onPause(key), pauseMs);
    timer.unref();
    this.#bursts.set(key, { contextName, count: 0, last: "", pauseMs, timer });
  }

  /** A pause without another request is the end of the burst. */
  private onPause(key: number): void {
    const burst = this.#bursts.get(key);
    this.#bursts.delete(key);
    if (burst === undefined || burst.count === 0) return;
    this.summarise(burst);
    this.start(key, burst.contextName, Math.min(burst.pauseMs * 2, LONGEST_PAUSE_MS));
  }

  private summarise({ contextName, count, last }: Burst): void {
    if (count > 0) log.warning(`${this.#what} ${contextName}: … and ${count} more, the last: ${last}`);
  }
}

/** Of long text the beginning, as a part of one line. */
export function printable(text: string): string {
  const shown = oneLine(text.slice(0, MAX_TEXT_CHARS));
  return text.length > MAX_TEXT_CHARS ? `${shown}…` : shown;
}
