import type { FrameRouter } from "../../routing/frame-router.ts";
import { Handle } from "../../wire/handles.ts";
import { ThreadChild } from "../methods/thread.ts";
import type { ChildLink } from "./child-link.ts";

/** So many intervals without a byte, though asked for one, and a child is taken for dead. */
const MAX_SILENT_INTERVALS = 3;

/**
 * Asks silent children for a sign of life, and gives up those that show none: a dead host closes no connection. Counts ticks of its timer,
 * not time: after a suspension of both machines nobody has been silent. The child's half is in src/remote/broker-thread.ts.
 */
export class Keepalive {
  readonly #router: FrameRouter;
  readonly #links: ReadonlyMap<number, ChildLink | ThreadChild>;
  readonly #intervalMs: number;
  /** The sign of life at the last look, and how often that was the same. */
  readonly #silence: WeakMap<ChildLink | ThreadChild, { bytes: number; intervals: number }> = new WeakMap();
  #timer: NodeJS.Timeout | undefined;
  #pongHandle = 0;

  /** `intervalMs` 0 never asks. */
  constructor(router: FrameRouter, links: ReadonlyMap<number, ChildLink | ThreadChild>, intervalMs: number) {
    this.#router = router;
    this.#links = links;
    this.#intervalMs = intervalMs;
  }

  /** To be called when there are links; without effect while it runs. */
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
      // One that is not read cannot ask for our sign of life: it is given one unasked.
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
