import type { FleetEvent, OnFleetEvent } from "../fleet/result.ts";

/**
 * Passes events to a listener. Events that come before there is a listener are kept, because connects begin before
 * anything is shown.
 */
export class Events {
  #early: FleetEvent[] = [];
  #listener: OnFleetEvent | undefined;

  /** The `onEvent` of a fleet and of its runs. */
  readonly emit: OnFleetEvent = (event) => {
    if (this.#listener !== undefined) return this.#listener(event);
    this.#early.push(event);
  };

  listen(listener: OnFleetEvent): void {
    this.#listener = listener;
    for (const event of this.#early.splice(0)) void listener(event);
  }
}
