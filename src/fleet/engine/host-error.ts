import { recordOfConnectError } from "../../connection/failures/connect-error-record.ts";
import { errorFromThrown } from "../../wire/values/error-value.ts";
import { read } from "../../wire/values/thrown.ts";

/** The error of a host as it travels from a hop: that of a connect, or another with its hidden fields. */
export type SentError =
  | { readonly connect: unknown }
  | { readonly error: unknown; readonly hidden: Readonly<Record<string, string>> };

/** Fields of a CommandError that do not show, and so would not travel. */
export const HIDDEN: readonly string[] = ["summary", "command", "stdout", "stderr"];
/** Longer fields are left out: the output has already been sent as events. */
const MAX_HIDDEN = 256 * 1024;

export function sentError(thrown: unknown): SentError {
  const error = errorFromThrown(thrown);
  if (read(error, "details") !== undefined) return { connect: recordOfConnectError(error) };
  const hidden: Record<string, string> = {};
  for (const name of HIDDEN) {
    const value = read(error, name);
    if (typeof value === "string") hidden[name] = value.slice(-MAX_HIDDEN);
  }
  return { error, hidden };
}
