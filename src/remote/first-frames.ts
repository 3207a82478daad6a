import type { Worker } from "node:worker_threads";
import { openInput } from "../links/descriptor.ts";
import { ownBytes } from "../links/thread-link.ts";
import { bodyLength, Encoding, type Frame, HEADER_BYTES } from "../wire/frame.ts";
import { FrameDecoder } from "../wire/frame-decoder.ts";
import { Handle } from "../wire/handles.ts";
import type { BrokerLink } from "./broker-link.ts";
import { TRANSPORT_IN } from "./shared-state.ts";

/** The bytes that the main thread has read from the parent. */
export interface FirstFrames {
  /** The configuration and modules, which the main thread has processed too. */
  readonly seen: Uint8Array;
  /** The bytes after those, for the broker thread alone. The last frame may be incomplete. */
  readonly rest: Uint8Array;
}

/**
 * Reads from the parent while the broker thread starts. That start takes longer than everything else, and
 * frames that arrive meanwhile need not wait for it. `link` takes the configuration, modules, and one call. This
 * ends when the broker thread runs, before the call, which may hang, or at the first frame that is not for this
 * thread. The broker thread then gets the bytes that were read, and reads from then on. If the parent is lost
 * before that, this ends the process.
 */
export function takeFirstFrames(broker: Worker, link: BrokerLink): void {
  const decoder = new FrameDecoder(0xffffffff);
  const chunks: Uint8Array[] = [];
  let seenBytes = 0;
  let contextId: number | undefined;
  let isOver = false;
  const end = (callBytes: number): void => {
    if (isOver) return;
    isOver = true;
    input.pause();
    const bytes = ownBytes(chunks.splice(0));
    broker.postMessage({ seen: bytes.subarray(0, seenBytes), rest: bytes.subarray(seenBytes + callBytes) });
  };
  const onFrame = (frame: Frame): void => {
    if (isOver) return;
    const { encoding, dstId, handle } = frame;
    const length = HEADER_BYTES + bodyLength(frame);
    const isForUs = contextId === undefined || (encoding === Encoding.CBOR && dstId === contextId);
    if (isForUs && contextId !== undefined && handle === Handle.CALL_FUNCTION) end(length);
    else if (isForUs && (contextId === undefined || handle === Handle.LOAD_MODULE)) seenBytes += length;
    else {
      end(0);
      return;
    }
    contextId = dstId;
    link.take(frame);
  };
  const input = openInput(TRANSPORT_IN).on("data", (lent) => {
    const chunk = Buffer.from(lent);
    chunks.push(chunk);
    decoder.push(chunk, onFrame);
  });
  const lost = (): void => void process.kill(process.pid, "SIGKILL");
  input.on("end", lost).on("error", lost);
  broker.once("online", () => end(0));
}
