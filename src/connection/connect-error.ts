import {
  CancelledError,
  type ConnectDetails,
  EofError,
  HostKeyError,
  MitogenError,
  PasswordError,
  StreamError,
  TimeoutError,
} from "../errors.ts";
import { errorFromThrown } from "../wire/error-value.ts";
import { messageOf, read, textOf } from "../wire/thrown.ts";

const TYPES = [StreamError, EofError, CancelledError, PasswordError, HostKeyError, TimeoutError];
const MAX_CHARACTERS = 64 * 1024;

/** [name, message, details]: a failed connect as the context that tried tells the one that asked. */
export type ConnectErrorRecord = readonly [name: string, message: string, details: ConnectDetails | null];

export function recordOfConnectError(error: unknown): ConnectErrorRecord {
  const known = errorFromThrown(error);
  const details = read(known, "details") as ConnectDetails | undefined;
  return [textOf(read(known, "name")), messageOf(known), details ?? null];
}

/** The same error here, in the name of the context that tried if it was another. What it says comes from a child and is only ever shown. */
export function connectErrorOf(record: unknown, via?: string): MitogenError {
  const [name, message, details] = Array.isArray(record) ? record : [];
  const type = TYPES.find((each) => each.prototype.name === name) ?? StreamError;
  const error = new type(`${via === undefined ? "" : `${via}: `}${textOf(message).slice(0, MAX_CHARACTERS)}`);
  if (typeof details === "object" && details !== null) {
    Object.defineProperty(error, "details", { value: details, enumerable: true });
  }
  return error;
}
