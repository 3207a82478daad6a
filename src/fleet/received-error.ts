import { CommandError } from "../commands/command-error.ts";
import { connectErrorOf } from "../connection/failures/connect-error-record.ts";
import { ERRORS } from "../errors.ts";
import { errorFromThrown, hide } from "../wire/values/error-value.ts";
import { isError, read } from "../wire/values/thrown.ts";
import { HIDDEN } from "./engine/host-error.ts";

/** The classes that errors of hosts have. Those of JavaScript itself arrive as they are. */
const CLASSES: Readonly<Record<string, { readonly prototype: object }>> = { ...ERRORS, CommandError };

/** The error that a hop sent, of the class that it had there. The hop may have sent anything. */
export function receivedError(sent: unknown, hop: string): Error {
  const connect = read(Object(sent), "connect");
  if (connect !== undefined) return connectErrorOf(connect, hop);
  const given = read(Object(sent), "error");
  const error = isError(given) ? given : errorFromThrown(given);
  const type = Object.hasOwn(CLASSES, error.name) ? CLASSES[error.name] : undefined;
  if (type === undefined) return error;
  if (Object.getPrototypeOf(error) === Error.prototype) Object.setPrototypeOf(error, type.prototype);
  const hidden = Object(read(Object(sent), "hidden"));
  for (const name of HIDDEN) {
    const value = read(hidden, name);
    if (typeof value === "string") hide(error, name, value);
  }
  return error;
}
