import { Queue } from "../../core/queue.ts";
import { sentError } from "../../fleet/engine/host-error.ts";
import type { FleetEvent } from "../../fleet/engine/result.ts";
import { Deferred } from "../../waiting/deferred.ts";
import type { KeptMessage } from "./kept-messages.ts";

/** How many lines of output may wait for a command that reads slowly. Further ones are counted, not kept. */
const MAX_WAITING = 10_000;

/** The events of work on one host, for the command that it is done for. Iterate it once. */
export class WorkEvents implements AsyncIterable<KeptMessage> {
  readonly #messages: Queue<KeptMessage> = new Queue();
  #lost = 0;
  #isOver = false;
  #news: Deferred<void> = new Deferred();

  /** Takes an event of the run of a fleet of this one host. */
  add(event: FleetEvent): void {
    if (event.type === "result") {
      const { output: _, error, ...result } = event.result;
      this.#push({ type: "result", result, ...(error !== undefined && { error: sentError(error) }) });
    } else if (event.type === "progress" || event.type === "output") {
      if (this.#messages.length < MAX_WAITING) {
        const { host: _, ...rest } = event;
        this.#push({ type: "event", event: rest });
      } else if (event.type === "output") this.#lost++;
    }
  }

  /** No event comes any more. */
  end(): void {
    this.#isOver = true;
    this.#news.resolve();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<KeptMessage, void, undefined> {
    for (;;) {
      const message = this.#messages.shift();
      if (message !== undefined) {
        if (message.type === "result" && this.#lost > 0) yield this.#lostLines();
        yield message;
      } else if (this.#isOver) return;
      else {
        await this.#news.promise;
        this.#news = new Deferred();
      }
    }
  }

  #push(message: KeptMessage): void {
    this.#messages.push(message);
    this.#news.resolve();
  }

  #lostLines(): KeptMessage {
    const text = `… ${this.#lost} lines are lost: they came faster than they were read`;
    return { type: "event", event: { type: "output", stream: "log", text } };
  }
}
