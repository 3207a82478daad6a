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
import { errorFromThrown } from "../wire/error-value.ts";
import { messageOf, read, textOf } from "../wire/thrown.ts";

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
  // It may be what a password function has thrown.
  const known = errorFromThrown(error);
  const details = read(known, "details") as ConnectDetails | undefined;
  const code = read(known, "code");
  return [textOf(read(known, "name")), messageOf(known), details ?? null, isOptionCode(code) ? code : null];
}

/** The same error here, in the name of the context that tried if it was another. What it says comes from a child and is only ever shown. */
export function connectErrorOf(record: unknown, via?: string): Error {
  const [name, message, details, code] = Array.isArray(record) ? record : [];
  const text = `${via === undefined ? "" : `${via}: `}${textOf(message).slice(0, MAX_CHARACTERS)}`;
  if (isOptionCode(code)) return misuse(code, text);
  const type = TYPES.find((each) => each.prototype.name === name) ?? StreamError;
  const error = new type(text);
  if (typeof details === "object" && details !== null) {
    Object.defineProperty(error, "details", { value: details, enumerable: true });
  }
  return error;
}
