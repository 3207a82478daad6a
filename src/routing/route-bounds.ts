import type { FrameRouter } from "./frame-router.ts";
import type { Peer } from "./peer.ts";

/** The most contexts behind one link to a child, including the child. */
export const MAX_CONTEXTS_PER_LINK = 16_384;
/** The most contexts that the program can reach at once. */
const MAX_CONTEXTS = 262_144;

/**
 * Returns why this process can reach no further context, or none behind `via`. Undefined if it can. The number is
 * bounded because a child may announce contexts that do not exist, and each of them costs every process above the
 * child a few hundred bytes.
 */
export function refusalOfRoute(router: FrameRouter, via: Peer | undefined): string | undefined {
  const { size } = router.routedIds;
  // All contexts below this one are behind one link of its parent, as this context is.
  const most = router.parentIds.length === 0 ? MAX_CONTEXTS : MAX_CONTEXTS_PER_LINK - 1;
  if (size >= most) return `${size} contexts are below context ${router.contextId}, which is the maximum`;
  if (via === undefined || via.contexts.size < MAX_CONTEXTS_PER_LINK) return undefined;
  return `${MAX_CONTEXTS_PER_LINK} contexts are behind the link to ${via.link.name}, which is the maximum`;
}
