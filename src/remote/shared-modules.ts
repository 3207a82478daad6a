import { getLogger } from "../core/log.ts";
import { StreamLink } from "../core/stream-link.ts";
import { decodeValue } from "../wire/decoder.ts";
import { encodeValue } from "../wire/encoder.ts";
import { Secret } from "../wire/secret.ts";

/**
 * What the parent role takes from the payload instead of bringing its own: what is large, and what must be the same
 * object on both sides. The table in scripts/build-payload.mjs names the same modules and exports.
 */
export function sharedModules(payload: Uint8Array): Record<string, object> {
  return {
    "core/log": { getLogger },
    "core/stream-link": { StreamLink },
    "wire/decoder": { decodeValue },
    "wire/encoder": { encodeValue },
    "wire/secret": { Secret },
    "bootstrap/payload": { payloadBytes: () => payload },
  };
}
