import type { FleetEvent } from "../fleet/result.ts";

/** Passes events on to whoever shows them. Events from before are kept: connects begin before anything is shown. */
export class Events {
  #early: FleetEvent[] = [];
  #listener: ((event: FleetEvent) => void) | undefined;

  /** What `onEvent` of a fleet and of its runs is. */
  readonly emit = (event: FleetEvent): void => {
    if (this.#listener === undefined) this.#early.push(event);
    else this.#listener(event);
  };

  listen(listener: (event: FleetEvent) => void): void {
    this.#listener = listener;
    for (const event of this.#early.splice(0)) listener(event);
  }
}
