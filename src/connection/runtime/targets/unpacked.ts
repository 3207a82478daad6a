import { createGunzip } from "node:zlib";
import { CHUNK_BYTES } from "../plan.ts";

/** Unpacks a runtime for a target that cannot. */
export async function* unpacked(packed: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  const gunzip = createGunzip({ chunkSize: CHUNK_BYTES });
  feed(packed, gunzip).catch((error) => gunzip.destroy(error));
  yield* gunzip;
}

async function feed(packed: AsyncIterable<Uint8Array>, gunzip: NodeJS.WritableStream): Promise<void> {
  for await (const chunk of packed) {
    if (gunzip.write(chunk)) continue;
    await new Promise((resolve) => gunzip.once("drain", resolve));
  }
  gunzip.end();
}
