import type { Session } from "node:inspector";

/**
 * A CPU profile of this thread, from its construction until {@link stop}. Throws if Node has no inspector.
 */
export class CpuProfile {
  readonly #session: Session;

  /** `inspector` is the module, which is loaded only if somebody profiles. */
  constructor(inspector: { Session: new () => Session }) {
    this.#session = new inspector.Session();
    this.#session.connect();
    this.#session.post("Profiler.enable");
    this.#session.post("Profiler.start");
  }

  /**
   * Returns the content of a `.cpuprofile` file. In this process, the inspector answers before `post`
   * returns.
   */
  stop(): string {
    let text = "";
    this.#session.post("Profiler.stop", (error, answer) => {
      if (error !== null) throw error;
      text = JSON.stringify(answer.profile);
    });
    this.#session.disconnect();
    return text;
  }
}
