import { nameLimit } from "../../process/system-limits.ts";

/** Which end of a transfer failed. */
export type Side = "source" | "sink";

interface SystemError extends Error {
  readonly code?: string;
  readonly errno?: number;
  readonly syscall?: string;
}

/**
 * Turns an error of the file system into one of a transfer, which says what was attempted and at which end.
 * It has its own `code`, `path` and `side`.
 */
function fileError(cause: unknown, doing: string, path: string, side: Side): Error {
  const { message, code, errno, syscall } = nameLimit(cause) as SystemError;
  const error = new Error(`Cannot ${doing} ${path}: ${message}`);
  return Object.assign(error, { code, errno, syscall, path, side });
}

/** The same for a fault that this library has found. */
export function fileFault(code: string, message: string, path: string, side: Side): Error {
  return Object.assign(new Error(message), { code, path, side });
}

/** Runs an operation of the file system. Its errors are those of {@link fileError}. */
export async function atFile<T>(
  doing: string,
  path: string,
  side: Side,
  operation: () => Promise<T>,
): Promise<T> {
  try {
    return await operation();
  } catch (error) {
    throw fileError(error, doing, path, side);
  }
}
