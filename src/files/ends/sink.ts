import { createHash, type Hash } from "node:crypto";
import { finished, type Writable } from "node:stream";
import { isError } from "../../wire/values/thrown.ts";
import type { Start } from "./metadata.ts";
import type { Offer } from "./source.ts";

/** Where the bytes go. */
export interface Sink {
  /** For errors. */
  readonly path: string;
  readonly offer: Offer;
  /** Of what was offered; what comes is added to it. */
  readonly hash: Hash;
  /** Tells what is to come. */
  begin(start: Start): Promise<void>;
  /** The chunk is the sink's from now on. */
  write(chunk: Uint8Array): Promise<void>;
  /** Everything was written and verified: from now on it is there. */
  commit(): Promise<void>;
  /** It has failed: nothing stays but what a later attempt can go on with. Never rejects. */
  abandon(error: unknown): Promise<void>;
  /** A `write` that waits ends. */
  interrupt(error: unknown): void;
}

/** What a sink offers that has nothing. */
export const NOTHING: Offer = { bytes: 0, sha256: "" };

/** Writes to a stream of the caller; ends it, unless told not to, and destroys it when the transfer fails. */
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
    this.#ended.catch(() => undefined); // it is looked at by those who write
  }

  async begin(): Promise<void> {}

  async write(chunk: Uint8Array): Promise<void> {
    const written = new Promise<void>((resolve, reject) =>
      this.#stream.write(chunk, (error) => (error ? reject(error) : resolve())),
    );
    // Not every stream answers a write once it is destroyed.
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
