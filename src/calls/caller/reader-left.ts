import { hide } from "../../wire/values/error-value.ts";
import { isError, read } from "../../wire/values/thrown.ts";

const NAME = "StreamLeft";

/** Why a remote generator ends whose reader takes no more: the call that runs it is given up, but nothing has failed. */
export const STREAM_LEFT: Error = new Error("The stream was left by its reader");
hide(STREAM_LEFT, "name", NAME);

/** True also of what became of it on its way to the target. */
export function isStreamLeft(reason: unknown): boolean {
  return isError(reason) && read(reason, "name") === NAME;
}
