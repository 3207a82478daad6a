import { randomFillSync } from "node:crypto";
import { Handle } from "../wire/handles.ts";
import type { FrameRouter } from "./frame-router.ts";

/** Smaller handles are for code that chooses its own. */
const FIRST = 0x10000;
const pool = new Uint32Array(256);
let left = 0;

/**
 * Returns a random free handle. Only contexts that were given a Sender for it know it and can send there. The
 * handle is hard to guess, but not impossible: docs/protocol.md#handles.
 */
export function randomHandle(router: Pick<FrameRouter, "hasHandler">): number {
  for (;;) {
    if (left === 0) {
      randomFillSync(pool);
      left = pool.length;
    }
    left -= 1;
    const handle = FIRST + ((pool[left] as number) % (Handle.FIRST_REPLY - FIRST));
    if (!router.hasHandler(handle)) return handle;
  }
}
