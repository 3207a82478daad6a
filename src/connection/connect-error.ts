import { isOptionCode, misuse, type OptionCode } from "../core/options.ts";
import {
  CancelledError,
  type ConnectDetails,
  EofError,
  HostKeyError,
  PasswordError,
  StreamError,
  TimeoutError,
} from "../errors.ts";

const TYPES = [StreamError, EofError, CancelledError, PasswordError, HostKeyError, TimeoutError];
const MAX_CHARACTERS = 64 * 1024;

/** [name, message, details, the code of one about an option]: a failed connect as the context that tried tells the one that asked. */
export type ConnectErrorRecord = readonly [
  name: string,
  message: string,
  details: ConnectDetails | null,
  code: OptionCode | null,
];

export function recordOfConnectError(error: unknown): ConnectErrorRecord {
  const { name, message, details, code } = error as Error & { details?: ConnectDetails; code?: unknown };
  return [name, message, details ?? null, isOptionCode(code) ? code : null];
}

/** The same error here, in the name of the context that tried if it was another. What it says comes from a child and is only ever shown. */
export function connectErrorOf(record: unknown, via?: string): Error {
  const [name, message, details, code] = Array.isArray(record) ? record : [];
  const text = `${via === undefined ? "" : `${via}: `}${String(message).slice(0, MAX_CHARACTERS)}`;
  if (isOptionCode(code)) return misuse(code, text);
  const type = TYPES.find((each) => each.prototype.name === name) ?? StreamError;
  const error = new type(text);
  if (typeof details === "object" && details !== null) {
    Object.defineProperty(error, "details", { value: details, enumerable: true });
  }
  return error;
}
