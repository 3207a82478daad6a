import type { Message } from "./message.ts";

/** Decides whether a handler takes a message: only the result `true` accepts it. */
export type Policy = (message: Message) => boolean;

/**
 * True if the message carries the authority of this context or of one above it. Protects everything that runs
 * code.
 */
export function hasParentAuthority(message: Message): boolean {
  return message.router.hasAuthority(message.authId);
}

/** True if the message was sent by a context at the other end of one of this router's own links. */
export function isImmediateChild(message: Message): boolean {
  return message.router.isImmediateChild(message.srcId);
}
