import type { Link } from "../links/link.ts";

/** A neighbour and the link to it. */
export interface Peer {
  readonly contextId: number;
  readonly link: Link;
  /**
   * `inner` is the main thread of this process, as the broker thread sees it. `outer` is the broker thread, as the
   * main thread sees it: the way to all other contexts, and to the handlers of the broker thread itself.
   */
  readonly kind: "parent" | "child" | "inner" | "outer";
  /** The authority of all frames from it, if whoever may open this link speaks with one authority. */
  readonly authId?: number;
  /** Bytes sent to it while its link was backed up: replies and frames from others. 0 once the link has drained. */
  backlog: number;
  /** Whether its link has been backed up for so long that senders are no longer stopped, but their frames refused. */
  isStuck?: boolean;
  /** The contexts with a route over this link, which its end would disconnect. */
  readonly contexts: Set<number>;
}
