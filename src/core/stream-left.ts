const NAME = "StreamLeft";

/** Why a remote generator ends whose reader takes no more: the call that runs it is given up, but nothing has failed. */
export const STREAM_LEFT: Error = Object.assign(new Error("The stream was left by its reader"), {
  name: NAME,
});

/** True also of what became of it on its way to the target. */
export function isStreamLeft(reason: unknown): boolean {
  return reason instanceof Error && reason.name === NAME;
}
