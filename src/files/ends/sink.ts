import { createHash, type Hash } from "node:crypto";
import { finished, type Writable } from "node:stream";
import { isError } from "../../wire/values/thrown.ts";
import type { Start } from "./metadata.ts";
import type { Offer } from "./source.ts";

/** The destination of the bytes. */
export interface Sink {
  /** The path for error messages. */
  readonly path: string;
  readonly offer: Offer;
  /** The hash of the offered bytes. The received bytes are added to it. */
  readonly hash: Hash;
  /** Called before the bytes, with what is known of them. */
  begin(start: Start): Promise<void>;
  /** Writes a chunk, which belongs to the sink from now on. */
  write(chunk: Uint8Array): Promise<void>;
  /** Called when everything was written and verified. The file then appears. */
  commit(): Promise<void>;
  /** Called when the transfer has failed. Keeps only what a later attempt can resume. Never rejects. */
  abandon(error: unknown): Promise<void>;
  /** Ends a waiting `write`. */
  interrupt(error: unknown): void;
}

/** The offer of a sink that has nothing. */
export const NOTHING: Offer = { bytes: 0, sha256: "" };

/** Writes to a stream of the caller. Ends it, unless told not to, and destroys it if the transfer fails. */
export class StreamSink implements Sink {
  readonly path = "the stream";
  readonly offer: Offer = NOTHING;
  readonly hash: Hash = createHash("sha256");
  readonly #stream: Writable;
  readonly #isEnding: boolean;
  readonly #ended: Promise<void>;
  #forget: () => void = () => undefined;

  constructor(stream: Writable, isEnding: boolean) {
    this.#stream = stream;
    this.#isEnding = isEnding;
    this.#ended = new Promise((resolve, reject) => {
      this.#forget = finished(stream, { readable: false }, (error) => (error ? reject(error) : resolve()));
    });
    this.#ended.catch(() => undefined); // write() handles the rejection
  }

  async begin(): Promise<void> {}

  async write(chunk: Uint8Array): Promise<void> {
    const written = new Promise<void>((resolve, reject) =>
      this.#stream.write(chunk, (error) => (error ? reject(error) : resolve())),
    );
    // Some streams never call back for a write once they are destroyed.
    await Promise.race([written, this.#ended]);
  }

  async commit(): Promise<void> {
    if (this.#isEnding) {
      this.#stream.end();
      await this.#ended;
    }
    this.#forget();
  }

  async abandon(error: unknown): Promise<void> {
    this.interrupt(error);
  }

  interrupt(error: unknown): void {
    if (!this.#stream.destroyed) this.#stream.destroy(isError(error) ? error : undefined);
  }
}
