/** Honest contexts send less. */
export const MAX_RECEIVED_STACK = 100_000;

/** A stack that a context has sent, short enough to be read line by line: a hostile one may be as long as a message. */
export function receivedStack(stack: string): string {
  return stack.length > MAX_RECEIVED_STACK ? `${stack.slice(0, MAX_RECEIVED_STACK)}…` : stack;
}
