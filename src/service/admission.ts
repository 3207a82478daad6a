import type { Message } from "../core/message.ts";
import { hasParentAuthority } from "../core/policy.ts";
import { getLogger } from "../logging/log.ts";
import { bodyLength } from "../wire/frame.ts";
import { refusal } from "./request.ts";

/** The most unanswered requests of one context. */
export const MAX_REQUESTS_PER_CONTEXT = 4096;
/** The most unanswered requests of all contexts together. */
export const MAX_REQUESTS = 65_536;
/** The most bytes that the bodies of one context's requests may take. A single request may be larger. */
export const MAX_REQUEST_BYTES_PER_CONTEXT: number = 256 * 1024 * 1024;
/** The same for all contexts together. */
export const MAX_REQUEST_BYTES: number = 1024 * 1024 * 1024;

interface Load {
  count: number;
  bytes: number;
  /** Whether the excess has been reported, to the context and to the log. */
  isTold: boolean;
}

const log = getLogger("mitogen.service");

/**
 * Limits the requests that a pool has taken and not answered. Contexts above, and contexts with this
 * context's authority, have no limit: they can run any code here. Other contexts may be hostile, and could fill
 * this process's memory.
 */
export class Admission {
  readonly #all: Load = { count: 0, bytes: 0, isTold: false };
  readonly #byContext: Map<number, Load> = new Map();

  /** Counts a request until {@link leave}. Throws a refusal if there are too many. */
  enter(message: Message): void {
    if (hasParentAuthority(message)) return;
    const { srcId } = message;
    const own = this.#byContext.get(srcId) ?? { count: 0, bytes: 0, isTold: false };
    const bytes = bodyLength(message);
    const why =
      excess(own, bytes, MAX_REQUESTS_PER_CONTEXT, MAX_REQUEST_BYTES_PER_CONTEXT) ??
      excess(this.#all, bytes, MAX_REQUESTS, MAX_REQUEST_BYTES);
    if (why !== undefined) {
      if (!own.isTold) log.warning(`Refused service requests of ${message.context.name}: ${why}`);
      own.isTold = true;
      throw refusal(
        "ERR_SERVICE_BUSY",
        `Cannot call a service of context ${message.dstId}: ${why}; send fewer at once`,
      );
    }
    this.#byContext.set(srcId, own);
    for (const load of [own, this.#all]) {
      load.count += 1;
      load.bytes += bytes;
    }
  }

  /** Call this when a request that has entered is answered. */
  leave(message: Message): void {
    if (hasParentAuthority(message)) return;
    const own = this.#byContext.get(message.srcId) as Load;
    const bytes = bodyLength(message);
    for (const load of [own, this.#all]) {
      load.count -= 1;
      load.bytes -= bytes;
    }
    if (own.count === 0) this.#byContext.delete(message.srcId);
  }
}

/** Returns why one more request would be too much. Undefined if it would not. */
function excess(load: Load, bytes: number, maxCount: number, maxBytes: number): string | undefined {
  if (load.count >= maxCount) return `${load.count} requests wait for their answers, which is the maximum`;
  if (load.count === 0 || load.bytes + bytes <= maxBytes) return undefined;
  return `requests of ${load.bytes} bytes wait for their answers, and more than ${maxBytes} may not`;
}
