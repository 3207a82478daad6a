/**
 * How often each count is taken, and over how many operations: what else happens meanwhile is a small part of
 * them.
 */
export const WINDOWS = 3;
export const OPERATIONS = 200;

/** Of all operations of a window, one's. Bytes are rounded to one, all else to a hundredth. */
export function perOperation(kind: string, total: number): number {
  const scale = kind.endsWith("bytes") ? 1 : 100;
  return Math.round((total * scale) / OPERATIONS) / scale;
}
