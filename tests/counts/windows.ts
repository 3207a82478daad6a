/**
 * How often each count is taken, and over how many operations: so many that other events meanwhile are a small part
 * of them.
 */
export const WINDOWS = 3;
export const OPERATIONS = 200;

/** The count of one operation of a window. Bytes are rounded to one, all other counts to a hundredth. */
export function perOperation(kind: string, total: number): number {
  const scale = kind.endsWith("bytes") ? 1 : 100;
  return Math.round((total * scale) / OPERATIONS) / scale;
}
