import { getLogger } from "../../logging/log.ts";
import { oneLine } from "../../text/harmless.ts";

/** A request to report. Its text comes from the child, so it is cut and made printable before it is kept. */
export interface NotedRequest {
  readonly contextId: number;
  readonly contextName: string;
  readonly text: string;
  /** The module in question, if it is known. */
  readonly id: string | undefined;
}

interface Burst {
  readonly contextName: string;
  /** Requests since the last line about this context. */
  count: number;
  last: string;
  readonly pauseMs: number;
  readonly timer: NodeJS.Timeout;
}

const FIRST_PAUSE_MS = 1_000;
const LONGEST_PAUSE_MS = 60_000;
const MAX_BURSTS = 1_000;
/** The key of the entry that further contexts share when there are {@link MAX_BURSTS} entries. */
const OTHERS = -1;
const MAX_NOTED = 100;
const MAX_TEXT_CHARS = 1_000;

const log = getLogger("mitogen.responder");

/**
 * Logs requests of one kind as WARNING. The first request of a context is logged at once. Later ones are only
 * counted, and their number is logged in ever longer intervals. So a child that floods the master with
 * requests does not flood its log. The last requests are kept for explanations.
 */
export class RequestLog {
  readonly #what: string;
  readonly #bursts: Map<number, Burst> = new Map();
  readonly #noted: NotedRequest[] = [];

  /** `what` begins every line, before the context's name: `Refused a module to`. */
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

  /** Call this when the context is gone. Logs the requests that have only been counted. */
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

  /** Logs the number of requests in the pause. A pause without one ends the burst. */
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

/** Cuts a long text and makes it printable within one line. */
export function printable(text: string): string {
  const shown = oneLine(text.slice(0, MAX_TEXT_CHARS));
  return text.length > MAX_TEXT_CHARS ? `${shown}…` : shown;
}
