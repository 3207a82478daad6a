import { encodeValue } from "../wire/cbor/encoder.ts";
import { Encoding, type Frame } from "../wire/frame.ts";

/** Makes the first frame that a child receives: its id and its rights. docs/protocol.md#configuration */
export function configFrame(config: Readonly<Record<string, unknown>>): Frame {
  return {
    encoding: Encoding.CBOR,
    dstId: config.contextId as number,
    srcId: 0,
    authId: 0,
    handle: 0,
    replyTo: 0,
    body: encodeValue(config),
  };
}
