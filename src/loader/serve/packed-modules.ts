import { createHash } from "node:crypto";
import { deflateRaw, deflateRawSync } from "node:zlib";
import { API_PART } from "../../bootstrap/api.generated.ts";
import { EVALUATOR_PART } from "../../bootstrap/evaluator.generated.ts";
import { FLEET_PART } from "../../bootstrap/fleet.generated.ts";
import { PARENT_ROLE_PART } from "../../bootstrap/parent-role.generated.ts";
import { SHORT_WAY_PART } from "../../bootstrap/short-way.generated.ts";
import { encodeValue } from "../../wire/cbor/encoder.ts";
import { API, EVALUATOR, FLEET, PARENT_ROLE, SHORT_WAY } from "../builtins.ts";
import type { ModuleRecord } from "../module-record.ts";

/** A module, or a library part, as it travels: compressed, and known by the hash of these bytes. */
export interface Packed {
  readonly hash: string;
  readonly bytes: Uint8Array;
}

/** Shared by all routers of this process: a module is compressed once, not once for each target. */
const packed = new WeakMap<ModuleRecord, Promise<Packed>>();
/** Held weakly: the bytes belong to the records they were made from, which `ModuleResponder.invalidate` may drop. */
const byHash = new Map<string, WeakRef<Uint8Array>>();
const letGo = new FinalizationRegistry<string>((hash) => {
  if (byHash.get(hash)?.deref() === undefined) byHash.delete(hash);
});
/** Texts up to this size are compressed in a fraction of a millisecond. */
const SMALL_BYTES = 4096;
/** 132 bits: enough never to collide by chance. Only the master's own modules are hashed. */
const HASH_CHARACTERS = 22;

/** Packs a record for links. A record is compressed once, for all targets. */
export function pack(record: ModuleRecord): Promise<Packed> {
  let done = packed.get(record);
  if (done === undefined) {
    const { format, source, imports, requires, exports, isInterop } = record;
    const fields = [format, source, imports, requires, exports, ...(isInterop ? [true] : [])];
    const plain = Buffer.concat(encodeValue(fields));
    done = compress(plain).then(keep);
    packed.set(record, done);
  }
  return done;
}

/** Compresses on another thread, unless that takes longer than the work itself. */
async function compress(bytes: Uint8Array): Promise<Buffer> {
  if (bytes.length <= SMALL_BYTES) return deflateRawSync(bytes);
  return new Promise((resolve, reject) => {
    deflateRaw(bytes, (error, result) => (error === null ? resolve(result) : reject(error)));
  });
}

/** Hops identify modules by content, because the same file is another module for another Node version. */
function keep(bytes: Uint8Array): Packed {
  const hash = createHash("sha256").update(bytes).digest("base64url").slice(0, HASH_CHARACTERS);
  // Records of equal content share their bytes, which live as long as one of the records does.
  const known = packedBytes(hash);
  if (known !== undefined) return { hash, bytes: known };
  byHash.set(hash, new WeakRef(bytes));
  letGo.register(bytes, hash);
  return { hash, bytes };
}

/** Returns the bytes with that hash, while a record of this program has them. */
export function packedBytes(hash: string): Uint8Array | undefined {
  return byHash.get(hash)?.deref();
}

/** The library parts, compressed, in base64. */
const PARTS: Readonly<Record<string, string>> = {
  [PARENT_ROLE]: PARENT_ROLE_PART,
  [EVALUATOR]: EVALUATOR_PART,
  [API]: API_PART,
  [SHORT_WAY]: SHORT_WAY_PART,
  [FLEET]: FLEET_PART,
};
const packedParts = new Map<string, Packed>();

/** Returns the id of a library part, with its bytes. */
export function packedPart(id: string): readonly [string, Packed] {
  let part = packedParts.get(id);
  if (part === undefined) {
    part = keep(Buffer.from(PARTS[id] as string, "base64"));
    packedParts.set(id, part);
  }
  return [id, part];
}

export function isPart(id: string): boolean {
  return id in PARTS;
}
