import { sentError } from "../../fleet/engine/host-error.ts";
import type { FleetEvent } from "../../fleet/engine/result.ts";
import { Feed } from "./feed.ts";
import type { KeptMessage } from "./kept-messages.ts";

/**
 * How many events, and how many characters of output, may wait for a command that reads slowly. Further ones are
 * counted, not kept.
 */
const MAX_WAITING = 10_000;
const MAX_WAITING_CHARACTERS = 4 * 1024 * 1024;

/** The events of work on one host, for the command that it is done for. */
export class WorkEvents {
  readonly feed: Feed<KeptMessage> = new Feed();
  #lost = 0;
  #characters = 0;

  /** Takes an event of the run of a fleet of this one host. */
  add(event: FleetEvent): void {
    if (event.type === "result") {
      const { output: _, error, ...result } = event.result;
      if (this.#lost > 0) this.feed.add(lostLines(this.#lost));
      this.feed.add({
        type: "result",
        result: { ...result, ...(error !== undefined && { error: sentError(error) }) },
      });
    } else if (event.type === "progress" || event.type === "output") {
      if (this.feed.length < MAX_WAITING && this.#characters < MAX_WAITING_CHARACTERS) {
        this.#characters += charactersOf(event);
        const { host: _, ...rest } = event;
        this.feed.add({ type: "event", event: rest });
      } else if (event.type === "output") this.#lost++;
    }
  }

  /** For the command, in order. Iterate it once. */
  async *messages(): AsyncGenerator<KeptMessage, void, undefined> {
    for await (const message of this.feed) {
      if (message.type === "event") this.#characters -= charactersOf(message.event);
      yield message;
    }
  }
}

function charactersOf(event: object): number {
  return "text" in event ? String(event.text).length : 0;
}

function lostLines(count: number): KeptMessage {
  const text = `… ${count} lines are lost: they came faster than they were read`;
  return { type: "event", event: { type: "output", stream: "log", text } };
}
