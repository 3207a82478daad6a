import type { FrameRouter, Peer } from "./frame-router.ts";

/** Contexts behind one link to a child, that child included. */
export const MAX_CONTEXTS_PER_LINK = 16_384;
/** Contexts that the program can reach at once. */
export const MAX_CONTEXTS = 262_144;

/**
 * Why no further context can be reached from this process, behind `via` if that is given; undefined if one can. A child may announce contexts that
 * do not exist: each costs every process above it a few hundred bytes.
 */
export function refusalOfRoute(router: FrameRouter, via: Peer | undefined): string | undefined {
  const { size } = router.routedIds;
  // All that is below a context is behind one link of its parent's, as the context itself.
  const most = router.parentIds.length === 0 ? MAX_CONTEXTS : MAX_CONTEXTS_PER_LINK - 1;
  if (size >= most)
    return `${size} contexts are below context ${router.contextId}, which is the most there may be`;
  if (via === undefined || via.contexts.size < MAX_CONTEXTS_PER_LINK) return undefined;
  return `${MAX_CONTEXTS_PER_LINK} contexts are behind the link to ${via.link.name}, which is the most there may be`;
}
