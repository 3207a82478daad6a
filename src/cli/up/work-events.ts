import { sentError } from "../../fleet/engine/host-error.ts";
import type { FleetEvent } from "../../fleet/engine/result.ts";
import { Deferred } from "../../waiting/deferred.ts";
import { Feed } from "./feed.ts";
import type { KeptMessage } from "./kept-messages.ts";

/** If more characters than this wait for the reader, the command that prints waits, too. */
const FULL = 256 * 1024;
/** Functions that print cannot wait. If more than this waits for the reader, their lines are counted and dropped. */
const MAX_WAITING = 16 * 1024 * 1024;
/** What an event takes besides its text: lines may be empty. */
const EVENT_COST = 64;

/** The events of work on one host, for the command that it is done for. */
export class WorkEvents {
  readonly feed: Feed<KeptMessage> = new Feed();
  #lost = 0;
  #waiting = 0;
  #room: Deferred<void> | undefined;

  /** Takes an event of the run of a fleet of this one host. Returns a promise if the reader is behind. */
  add(event: FleetEvent): Promise<void> | undefined {
    if (event.type === "result") {
      const { output: _, error, ...result } = event.result;
      if (this.#lost > 0) this.feed.add({ type: "lost", lines: this.#lost });
      this.feed.add({
        type: "result",
        result: { ...result, ...(error !== undefined && { error: sentError(error) }) },
      });
    } else if (event.type === "progress" || event.type === "output") {
      if (this.#waiting < MAX_WAITING) {
        this.#waiting += costOf(event);
        const { host: _, ...rest } = event;
        this.feed.add({ type: "event", event: rest });
      } else if (event.type === "output") this.#lost++;
    }
    if (this.#waiting <= FULL) return undefined;
    this.#room ??= new Deferred();
    return this.#room.promise;
  }

  /** For the command, in order. Iterate it once. */
  async *messages(): AsyncGenerator<KeptMessage, void, undefined> {
    try {
      for await (const message of this.feed) {
        if (message.type === "event") this.#waiting -= costOf(message.event);
        if (this.#waiting <= FULL) this.#makeRoom();
        yield message;
      }
    } finally {
      // Nobody reads any more, so a wait for the reader would never end.
      this.#makeRoom();
    }
  }

  #makeRoom(): void {
    this.#room?.resolve();
    this.#room = undefined;
  }
}

function costOf(event: object): number {
  return EVENT_COST + ("text" in event ? String(event.text).length : 0);
}
