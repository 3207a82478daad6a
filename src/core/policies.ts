import { misuse, show } from "../options/options.ts";
import { read } from "../wire/values/thrown.ts";
import type { Message } from "./message.ts";
import * as policy from "./policy.ts";

/** The policies for programs, which may call them with anything. The rules themselves are in src/core/policy.ts. */

/**
 * True if the message carries the authority of this context or of one above it. Protects everything that runs
 * code.
 */
export function hasParentAuthority(message: Message): boolean {
  return policy.hasParentAuthority(checked(message));
}

/** True if the message was sent by a context at the other end of one of this router's own links. */
export function isImmediateChild(message: Message): boolean {
  return policy.isImmediateChild(checked(message));
}

function checked(message: Message): Message {
  // By what it can do: tests of services make messages of their own.
  const router = read(message, "router");
  if (typeof read(router as object, "contextId") === "number") return message;
  throw misuse(
    "ERR_INVALID_ARG_TYPE",
    `Cannot apply a policy: the first argument must be a Message, got ${show(message)}`,
  );
}
