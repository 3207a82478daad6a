/** Handles every context answers on, docs/protocol.md#handles. The numbers are the original's. */
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
  /** Ours: a context is asked to start, or to end, a child of its own. */
  CONNECT_CHILD: 114,
  END_CHILD: 115,
  /** Ours: answered at once, by the broker thread of a child. */
  PING: 116,
  /** Ours: whoever made a call no longer waits for it. */
  CANCEL_CALL: 117,
  /** Up to here no Sender may name a handle: sending carries the sender's authority. */
  LAST_RESERVED: 199,
  /** Not a handle: the `replyTo` of a dead message. */
  IS_DEAD: 999,
  /** The first number that a handler may have for itself: chosen, or by chance (src/routing/random-handle.ts). */
  FIRST_DYNAMIC: 1000,
  /** From here on handles are made for the answers of one peer: no Sender may name them either. */
  FIRST_REPLY: 0x38000000,
} as const;
