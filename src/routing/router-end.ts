import type { FrameRouter } from "./frame-router.ts";

/**
 * Calls `fn` when the router ends, or at once if it has ended: for waits that nothing else would end. Returns a function
 * that stops watching.
 */
export function onRouterEnd(router: FrameRouter, fn: () => void): () => void {
  // A router tells every handler that it ends. No message is meant for this one.
  const handle = router.listen(fn, { policy: () => false });
  return () => router.unlisten(handle);
}
