import { MARK_NO_NODE, MARK_OLD_NODE, MARK_OTHER_SHELL, MARK_PROVISION, MARK_SHELL } from "./command.ts";
import { parseReady, type Ready } from "./ready.ts";

/** The longest marker with its text. Anything longer is noise. */
const MAX_MARK_BYTES = 300;
const LINE_FEED = 0x0a;

/** An event in the output of a starting child. */
export type HandshakeEvent =
  | { readonly kind: "shell" }
  | { readonly kind: "otherShell" }
  | { readonly kind: "noNode"; readonly system: string }
  | { readonly kind: "oldNode"; readonly version: string }
  | { readonly kind: "provision"; readonly text: string }
  | { readonly kind: "ready"; readonly ready: Ready; readonly rest: Buffer };

/**
 * Finds the markers of one connection in its stdout, whatever else that carries: motd, prompts, binary noise,
 * CRLF, unterminated text before them. Only text after this connection's nonce counts, so noise cannot fake a
 * marker. Holds at most one marker's length.
 */
export class Handshake {
  readonly #mark: Buffer;
  readonly #onNoise: (bytes: Buffer) => void;
  #pending: Buffer = Buffer.alloc(0);

  constructor(nonce: string, onNoise: (bytes: Buffer) => void) {
    this.#mark = Buffer.from(`${nonce}:`);
    this.#onNoise = onNoise;
  }

  /**
   * Returns the events that `chunk` completes. After a `ready` event the reader is done: the bytes after it
   * are the event's `rest`.
   */
  push(chunk: Buffer): HandshakeEvent[] {
    const events: HandshakeEvent[] = [];
    let bytes = this.#pending.length === 0 ? chunk : Buffer.concat([this.#pending, chunk]);
    for (;;) {
      const start = bytes.indexOf(this.#mark);
      if (start < 0) {
        // A marker may have been cut anywhere. Everything before its possible start is noise.
        const kept = this.cutMark(bytes);
        this.noise(bytes.subarray(0, bytes.length - kept));
        this.#pending = Buffer.from(bytes.subarray(bytes.length - kept));
        return events;
      }
      const end = bytes.indexOf(LINE_FEED, start);
      const length = (end < 0 ? bytes.length : end) - start;
      if (end < 0 && length < MAX_MARK_BYTES) {
        this.noise(bytes.subarray(0, start));
        this.#pending = Buffer.from(bytes.subarray(start));
        return events;
      }
      const event = length < MAX_MARK_BYTES ? this.parse(bytes, start, end) : undefined;
      this.noise(bytes.subarray(0, start));
      if (event === undefined) {
        // The nonce without a marker is an echo of the command line. Continues after it.
        this.noise(bytes.subarray(start, start + this.#mark.length));
        bytes = bytes.subarray(start + this.#mark.length);
        continue;
      }
      events.push(event);
      if (event.kind === "ready") {
        this.#pending = Buffer.alloc(0);
        return events;
      }
      bytes = bytes.subarray(end + 1);
    }
  }

  /** Call this at the end of the stream: the bytes held back were noise after all. */
  end(): void {
    this.noise(this.#pending);
    this.#pending = Buffer.alloc(0);
  }

  private parse(bytes: Buffer, start: number, end: number): HandshakeEvent | undefined {
    const said = bytes.toString("latin1", start + this.#mark.length - 1, end).replace(/\r$/, "");
    // The text appears in errors and on terminals.
    const text = said.replace(/[^\x20-\x7e]/g, "?");
    if (text === MARK_SHELL) return { kind: "shell" };
    if (text === MARK_OTHER_SHELL) return { kind: "otherShell" };
    if (text.startsWith(`${MARK_NO_NODE} `)) return { kind: "noNode", system: text.slice(3) };
    if (text.startsWith(`${MARK_OLD_NODE} `)) return { kind: "oldNode", version: text.slice(3) };
    if (text.startsWith(`${MARK_PROVISION} `)) return { kind: "provision", text: text.slice(3) };
    const ready = text.startsWith(":ready ") ? parseReady(text.slice(7)) : undefined;
    // A copy, because the chunk's memory may belong to the stream.
    return ready && { kind: "ready", ready, rest: Buffer.from(bytes.subarray(end + 1)) };
  }

  /** The number of bytes at the end that may be the beginning of a marker. */
  private cutMark(bytes: Buffer): number {
    let kept = Math.min(bytes.length, this.#mark.length - 1);
    while (kept > 0 && !bytes.subarray(-kept).equals(this.#mark.subarray(0, kept))) kept -= 1;
    return kept;
  }

  private noise(bytes: Buffer): void {
    if (bytes.length > 0) this.#onNoise(bytes);
  }
}
