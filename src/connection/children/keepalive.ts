import type { FrameRouter } from "../../routing/frame-router.ts";
import { Handle } from "../../wire/handles.ts";
import { ThreadChild } from "../methods/thread.ts";
import type { ChildLink } from "./child-link.ts";

/** A child that was asked is considered dead after this many intervals without a byte. */
const MAX_SILENT_INTERVALS = 3;

/**
 * Asks silent children for a sign of life, and gives up those that show none, because a dead host closes no
 * connection. Counts ticks of its timer, not time: after both machines were suspended, no child counts as
 * silent. The child's half is in src/remote/broker-thread.ts.
 */
export class Keepalive {
  readonly #router: FrameRouter;
  readonly #links: ReadonlyMap<number, ChildLink | ThreadChild>;
  readonly #intervalMs: number;
  /** The sign of life at the last check, and for how many checks it has not changed. */
  readonly #silence: WeakMap<ChildLink | ThreadChild, { bytes: number; intervals: number }> = new WeakMap();
  #timer: NodeJS.Timeout | undefined;
  #pongHandle = 0;

  /** An `intervalMs` of 0 turns the checks off. */
  constructor(router: FrameRouter, links: ReadonlyMap<number, ChildLink | ThreadChild>, intervalMs: number) {
    this.#router = router;
    this.#links = links;
    this.#intervalMs = intervalMs;
  }

  /** Call this when there are links. It has no effect if the timer already runs. */
  start(): void {
    if (this.#intervalMs > 0) {
      this.#timer ??= setInterval(() => this.checkLinks(), this.#intervalMs).unref();
    }
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  private checkLinks(): void {
    for (const [contextId, link] of this.#links) {
      const bytes = link instanceof ThreadChild ? 0 : link.lifeSign;
      const { intervals } = this.#silence.get(link) ?? { intervals: 0 };
      const isSilent = this.#silence.get(link)?.bytes === bytes;
      this.#silence.set(link, { bytes, intervals: isSilent ? intervals + 1 : 0 });
      if (link instanceof ThreadChild) continue;
      // While a link is paused, its child cannot ask for our sign of life. So this process sends one without
      // being asked.
      if (Number.isNaN(bytes)) this.ping(contextId);
      if (!isSilent) continue;
      if (intervals + 1 >= MAX_SILENT_INTERVALS) {
        const { queuedBytes } = link;
        const what = queuedBytes > 0 ? `has read none of ${queuedBytes} bytes` : "no answer";
        link.abort(`${link.name}: ${what} for ${this.#intervalMs * MAX_SILENT_INTERVALS} ms`);
      } else this.ping(contextId);
    }
  }

  private ping(contextId: number): void {
    const router = this.#router;
    if (this.#pongHandle === 0) this.#pongHandle = router.listen(() => undefined, { isService: true });
    router.routeFrame(router.frame(contextId, Handle.PING, [], this.#pongHandle));
  }
}
