import type { Message } from "../../core/message.ts";
import { ProtocolError } from "../../errors.ts";
import { bodyLength } from "../../wire/frame.ts";
import { ModuleError } from "../module-error.ts";
import type { ImportKind } from "../module-record.ts";

/** A context's question: what does this specifier mean in that module? docs/protocol.md#get_module */
export interface ModuleRequest {
  readonly parentId: string;
  /** If empty, the context asks for the module `parentId` itself. */
  readonly specifier: string;
  readonly kind: ImportKind;
}

/**
 * The most bytes of a request. It holds a specifier and the id of the asking module, both of which may be
 * `data:` URLs. A longer request is not even decoded.
 */
const MAX_REQUEST_BYTES = 256 * 1024;
const MAX_QUOTED_CHARS = 1_000;

/** Reads a request, which comes from a child. Throws a ProtocolError if it is malformed. */
export function parseRequest(message: Message): ModuleRequest {
  if (bodyLength(message) > MAX_REQUEST_BYTES) {
    throw new ProtocolError(`a module request of ${bodyLength(message)} bytes is too long`);
  }
  const value = message.decode();
  const [parentId, specifier, kind] = Array.isArray(value) ? value : [];
  if (
    typeof parentId === "string" &&
    typeof specifier === "string" &&
    (kind === "import" || kind === "require")
  ) {
    return { parentId, specifier, kind };
  }
  throw new ProtocolError("a module request must be [parent id, specifier, kind]");
}

/** Returns the beginning of the error that the child throws, in Node's own words. */
export function describeRequest({ parentId, specifier }: ModuleRequest): string {
  const [quoted, from] = [specifier, parentId].map((text) => {
    return text.length > MAX_QUOTED_CHARS ? `${text.slice(0, MAX_QUOTED_CHARS)}…` : text;
  });
  return specifier === ""
    ? `Cannot find module '${from}'`
    : `Cannot find module '${quoted}' imported from ${from}`;
}

/** Returns the code of the error that the child throws. */
export function refusalCode(kind: ImportKind, error?: unknown): string {
  const code = error instanceof ModuleError ? error.code : "ERR_MODULE_NOT_FOUND";
  return code === "ERR_MODULE_NOT_FOUND" && kind === "require" ? "MODULE_NOT_FOUND" : code;
}
