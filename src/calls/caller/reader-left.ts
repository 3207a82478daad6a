import { hide } from "../../wire/values/error-value.ts";
import { isError, read } from "../../wire/values/thrown.ts";

const NAME = "StreamLeft";

/**
 * The reason with which a generator's call is given up when its reader has left the stream. Nothing has
 * failed.
 */
export const STREAM_LEFT: Error = new Error("The stream was left by its reader");
hide(STREAM_LEFT, "name", NAME);

/** Also true for the error that the target makes from this reason. */
export function isStreamLeft(reason: unknown): boolean {
  return isError(reason) && read(reason, "name") === NAME;
}
