/** Keeps the last bytes of a stream, in one piece of memory, however small the chunks are. */
export class OutputTail {
  readonly #maxBytes: number;
  #buffer: Buffer = Buffer.alloc(0);
  #length = 0;
  /** All bytes that came, kept or not. */
  total = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** Copies the chunk. */
  push(chunk: Uint8Array): void {
    this.total += chunk.length;
    const kept = chunk.length > this.#maxBytes ? chunk.subarray(chunk.length - this.#maxBytes) : chunk;
    // The memory is twice as large as needed, so that a kept byte is moved at most once.
    if (this.#length + kept.length > 2 * this.#maxBytes) this.keepEnd(this.#maxBytes - kept.length);
    this.grow(this.#length + kept.length);
    this.#buffer.set(kept, this.#length);
    this.#length += kept.length;
  }

  /** The kept bytes. Valid until the next chunk. */
  get bytes(): Buffer {
    return this.#buffer.subarray(Math.max(0, this.#length - this.#maxBytes), this.#length);
  }

  private keepEnd(count: number): void {
    const from = Math.max(0, this.#length - count);
    this.#buffer.copyWithin(0, from, this.#length);
    this.#length -= from;
  }

  private grow(length: number): void {
    if (length <= this.#buffer.length) return;
    const larger = Buffer.allocUnsafeSlow(Math.min(2 * this.#maxBytes, Math.max(4096, 2 * length)));
    this.#buffer.copy(larger, 0, 0, this.#length);
    this.#buffer = larger;
  }
}
