import { MARK_FAILED } from "../bootstrap/ready.ts";
import { tryWrite } from "../links/descriptor.ts";
import { Word, Writer } from "../links/thread-state.ts";
import { stackOf } from "../wire/values/thrown.ts";
import { TRANSPORT_OUT } from "./shared-state.ts";

/** Short enough that the parent reads it in one piece. */
const LINE_CHARACTERS = 2000;
/** How long the parent may leave the pipe full. */
const WRITE_MS = 2000;

/**
 * Tells the parent at once why the broker thread fails, ahead of everything that is queued. From then on, neither
 * thread writes to the parent: docs/bootstrap.md#markers.
 */
export function writeFailure({ words, nonce }: { words: Int32Array; nonce: string }, error: unknown): void {
  while (Atomics.compareExchange(words, Word.WRITER, Writer.NOBODY, Writer.BROKER) === Writer.MAIN) {
    Atomics.wait(words, Word.WRITER, Writer.MAIN, 1);
  }
  const line = `${nonce}${MARK_FAILED}the broker thread failed: ${stackOf(error)}`;
  let bytes = Buffer.from(`\n${line.slice(0, LINE_CHARACTERS)}\n`);
  for (const deadline = Date.now() + WRITE_MS; bytes.length > 0 && Date.now() < deadline; ) {
    const written = tryWrite(TRANSPORT_OUT, bytes);
    bytes = bytes.subarray(written);
    if (written === 0) Atomics.wait(words, Word.WRITER, Writer.BROKER, 1);
  }
}
