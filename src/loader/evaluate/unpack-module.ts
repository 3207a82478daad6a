import { inflateRawSync } from "node:zlib";
import { decodeValue } from "../../wire/cbor/decoder.ts";
import type { ModuleFormat, ModuleRecord } from "../module-record.ts";

/** Unpacks a module that has crossed a link: [format, source, imports, requires, exports, interop?], deflated. */
export function unpackModule(id: string, packed: Uint8Array): ModuleRecord {
  const [format, source, imports, requires, exports, isInterop = false] = decodeValue(
    inflateRawSync(packed),
  ) as [ModuleFormat, string, Record<string, string>, Record<string, string>, string[], boolean?];
  return { id, format, source, imports, requires, exports, isInterop, usesLibrary: false };
}
