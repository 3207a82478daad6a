import type { Message } from "./message.ts";

/** Decides whether a handler may see a message; anything but true refuses it. */
export type Policy = (message: Message) => boolean;

/** True when the message carries the authority of this context or of one above it. Guards everything that runs code. */
export function hasParentAuthority(message: Message): boolean {
  return message.router.hasAuthority(message.authId);
}

/** True when the message was sent by a context at the other end of one of this router's own links. */
export function isImmediateChild(message: Message): boolean {
  return message.router.isImmediateChild(message.srcId);
}
