/**
 * The limits of a message. The sender enforces them so that the caller gets an error with a path, the
 * receiver because the sender may be hostile. What counts as an item is in docs/encoding.md#limits.
 */
export interface Limits {
  readonly maxMessageBytes: number;
  /** How deep containers may be nested. Far below what the stack of the smallest thread can hold. */
  readonly maxDepth: number;
  /** Limits the memory that a message of one-byte items can take. */
  readonly maxItems: number;
}

export const DEFAULT_LIMITS: Limits = {
  maxMessageBytes: 128 * 1024 * 1024,
  maxDepth: 256,
  maxItems: 4 * 1024 * 1024,
};

/** The longest URL in characters. For some hosts, the parser's time grows with the square of the length. */
export const MAX_URL = 8192;

/** How many items a tag or an untagged byte string counts for: the object is many times larger than its bytes. */
export const HEAVY_ITEMS = 3;
