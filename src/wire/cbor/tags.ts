/** The CBOR tags that travel. Any other is refused. Meanings: docs/encoding.md. */
export const Tag = {
  date: 1,
  bigint: 2,
  negativeBigint: 3,
  url: 32,
  set: 258,
  map: 259,
  loneSurrogates: 273,
  // Tags of this library: "MIT", then a counter. Unassigned at IANA.
  error: 0x4d495400,
  callError: 0x4d495401,
  blob: 0x4d495402,
  secret: 0x4d495403,
  context: 0x4d495404,
  sender: 0x4d495405,
} as const;
export type Tag = (typeof Tag)[keyof typeof Tag];
