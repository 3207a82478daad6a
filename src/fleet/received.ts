import { CommandError } from "../commands/command-error.ts";
import { connectErrorOf } from "../connection/failures/connect-error-record.ts";
import { ERRORS, ProtocolError } from "../errors.ts";
import { errorFromThrown, hide } from "../wire/values/error-value.ts";
import { isError, read } from "../wire/values/thrown.ts";
import { HIDDEN } from "./engine/host-error.ts";
import type { WorkEvent, WorkResult } from "./engine/host-run.ts";
import type { HostFailure, HostStatus } from "./engine/result.ts";

const STATUSES: readonly unknown[] = ["ok", "failed", "unreachable", "skipped"] satisfies HostStatus[];

/** The classes that errors of hosts have. Those of JavaScript itself arrive as they are. */
const CLASSES: Readonly<Record<string, { readonly prototype: object }>> = { ...ERRORS, CommandError };

/** The event that a hop sent about work. Throws if it is none. */
export function receivedEvent(sent: unknown, hop: string): WorkEvent {
  const { type, stream, text, bytes, totalBytes } = Object(sent) as Record<string, unknown>;
  if (type === "output" && typeof text === "string" && (stream === "stdout" || stream === "stderr")) {
    return { type, stream, text };
  }
  if (type !== "progress" || typeof bytes !== "number") throw nonsense(hop);
  return { type, bytes, ...(typeof totalBytes === "number" ? { totalBytes } : {}) };
}

/** The result that a hop sent about the work on a host. Throws if it is none. */
export function receivedResult(host: string, sent: unknown, hop: string): WorkResult<unknown> {
  const { status, durationMs, value, error } = Object(sent) as Record<string, unknown>;
  if (!STATUSES.includes(status) || typeof durationMs !== "number") throw nonsense(hop);
  if (status === "ok") return { host, status, durationMs, value };
  return { host, status: status as HostFailure["status"], durationMs, error: receivedError(error, hop) };
}

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

/** The error of a hop that sent something that no hop sends. */
export function nonsense(hop: string): ProtocolError {
  return new ProtocolError(`the hop ${hop} sent something other than events and results`);
}
