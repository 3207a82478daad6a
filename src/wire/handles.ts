/** The handles with a fixed meaning: docs/protocol.md#handles. The numbers are Mitogen's. */
export const Handle = {
  GET_MODULE: 100,
  CALL_FUNCTION: 101,
  FORWARD_LOG: 102,
  ADD_ROUTE: 103,
  DEL_ROUTE: 104,
  ALLOCATE_ID: 105,
  SHUTDOWN: 106,
  LOAD_MODULE: 107,
  FORWARD_MODULE: 108,
  DETACHING: 109,
  CALL_SERVICE: 110,
  STUB_CALL_SERVICE: 111,
  GET_RESOURCE: 112,
  LOAD_RESOURCE: 113,
  /** Not in Mitogen: asks a context to start, or to end, a child of its own. */
  CONNECT_CHILD: 114,
  END_CHILD: 115,
  /** Not in Mitogen: answered at once, by the broker thread of a child; with a text, after the output printed so far. */
  PING: 116,
  /** Not in Mitogen: the caller no longer waits for a call. */
  CANCEL_CALL: 117,
  /** No Sender may name a handle up to this one, because sending carries the sender's authority. */
  LAST_RESERVED: 199,
  /** Not a handle: the `replyTo` of a dead message. */
  IS_DEAD: 999,
  /** The first handle that a handler may choose, or get at random (src/routing/random-handle.ts). */
  FIRST_DYNAMIC: 1000,
  /** The first of the handles for replies of one respondent. No Sender may name them either. */
  FIRST_REPLY: 0x38000000,
} as const;
