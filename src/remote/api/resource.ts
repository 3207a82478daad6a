import { type ReadResource, readResourceWith, resourceError } from "../../core/resource.ts";
import type { CoreRouter } from "../../core/router.ts";
import { Handle } from "../../wire/handles.ts";

/** How many bytes of resources are kept. The oldest are dropped first. */
const MAX_KEPT_BYTES = 32 * 1024 * 1024;
const MASTER = 0;

interface Kept {
  readonly bytes: Promise<Buffer>;
  size: number;
}

/**
 * Returns `resource()` for a child. It asks the master for each file once and keeps the bytes. Simultaneous calls
 * for a file share one request.
 */
export function remoteResources(router: CoreRouter): ReadResource {
  const kept = new Map<string, Kept>();
  let keptBytes = 0;

  const read = async (id: string, path: string): Promise<Buffer> => {
    const key = `${id}\0${path}`;
    const known = kept.get(key);
    if (known !== undefined) return await known.bytes;
    const entry = { bytes: ask(router, id, path), size: 0 };
    kept.set(key, entry);
    try {
      const bytes = await entry.bytes;
      entry.size = bytes.length;
      keptBytes += bytes.length;
      evict();
      return bytes;
    } catch (error) {
      kept.delete(key);
      throw error;
    }
  };

  const evict = (): void => {
    for (const [key, { size }] of kept) {
      if (keptBytes <= MAX_KEPT_BYTES) return;
      if (size === 0) continue; // empty, or not here yet
      kept.delete(key);
      keptBytes -= size;
    }
  };

  return readResourceWith(read);
}

/** The answer is the bytes, or [message, code] if there are none. */
async function ask(router: CoreRouter, id: string, path: string): Promise<Buffer> {
  const answer = await router.contextById(MASTER).request(Handle.GET_RESOURCE, [id, path]);
  if (Buffer.isBuffer(answer)) return answer;
  const [message, code] = answer as [string, string];
  throw resourceError(message, code);
}
