import { PAYLOAD } from "./payload.generated.ts";

let payload: Buffer | undefined;

/** The compressed payload, as it is written to a child. Always the same buffer; nobody may change it. */
export function payloadBytes(): Buffer {
  payload ??= Buffer.from(PAYLOAD, "base64");
  return payload;
}
