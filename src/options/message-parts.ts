import { integer } from "./option-types.ts";
import { misuse, takeOption } from "./options.ts";

/** The ids of contexts and handles have 32 bits. */
const id = integer(0, 0xffffffff);
const handle = integer(1, 0xffffffff);

/** Checks what a program gives to `Message.to`. Throws a TypeError or RangeError. */
export function checkMessageParts(to: unknown, content: unknown): void {
  const { dstId, handle: given, replyTo } = Object(to) as Record<string, unknown>;
  // Every message is checked, so right numbers pass without the objects that describe wrong ones.
  if (!isId(dstId)) takeOption("make a message", "dstId", dstId, id);
  if (!isId(given) || given === 0) takeOption("make a message", "handle", given, handle);
  if (replyTo !== undefined && !isId(replyTo)) takeOption("make a message", "replyTo", replyTo, id);
  if (!(Object(content).raw instanceof Uint8Array || "value" in Object(content))) {
    throw misuse(
      "ERR_INVALID_ARG_TYPE",
      "Cannot make a message: its content must be { value } or { raw } with a Uint8Array",
    );
  }
}

function isId(value: unknown): boolean {
  return typeof value === "number" && value >>> 0 === value;
}
