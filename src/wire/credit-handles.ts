/** A `replyTo` in this range asks for credit, not for a reply: docs/protocol.md#flow-control. */
export const FIRST_CREDIT_HANDLE = 0x40000000;
const LAST_CREDIT_HANDLE = 0x7fffffff;

export function isCreditHandle(handle: number): boolean {
  return handle >= FIRST_CREDIT_HANDLE && handle <= LAST_CREDIT_HANDLE;
}
