/**
 * What one message may hold. Both sides enforce it: the sender so that the caller hears of it with a path, the
 * receiver because the sender may be hostile. What counts as an item is in docs/encoding.md#limits.
 */
export interface Limits {
  readonly maxMessageBytes: number;
  /** Containers inside containers; far below what the stack of the smallest thread can hold. */
  readonly maxDepth: number;
  /** Bounds the memory a message of one-byte items can claim. */
  readonly maxItems: number;
}

export const DEFAULT_LIMITS: Limits = {
  maxMessageBytes: 128 * 1024 * 1024,
  maxDepth: 256,
  maxItems: 4 * 1024 * 1024,
};

/** In characters: some hosts take a parser time that grows with the square of their length. */
export const MAX_URL = 8192;

/** What a tag or an untagged byte string counts for: it makes an object many times its size. */
export const HEAVY_ITEMS = 3;
