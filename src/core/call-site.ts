import { MitogenError } from "../errors.ts";
import { hide, isCallError } from "../wire/values/error-value.ts";
import { attempt, headOf, read } from "../wire/values/thrown.ts";
import type { Context } from "./context.ts";

/** How many causes get readable stacks. Deeper causes keep their stacks as they came. */
const MAX_CAUSES = 16;
/** Matches stack lines that show how this library called a function, but not the function itself. */
const OUR_FRAME = /(\(|at (async )?)(mitogen:|(node:)?(async_hooks|internal\/async_local_storage))/;

/** Errors whose stacks already begin with the lines of a waiter. */
const placed = new WeakSet<object>();

/**
 * Returns a function that prints the stack above `caller`, without the first `skip` lines. Only the frames
 * are captured now. The result is empty if user code has changed what a stack is (`Error.prepareStackTrace`,
 * `Error.captureStackTrace`).
 */
export function callSite(caller: (...args: never[]) => unknown, skip = 0): () => string {
  const site: { stack?: string } = {};
  try {
    Error.captureStackTrace(site, caller);
  } catch {
    // The call site stays unknown.
  }
  return () => {
    const stack = read(site, "stack");
    return typeof stack === "string"
      ? stack
          .split("\n")
          .slice(1 + skip)
          .join("\n")
      : "";
  };
}

/**
 * Gives an error of this library a stack that begins with `lines`, the caller's, because the library's own
 * frames do not help callers. The first waiter's lines stay, unless `again` is true. Returns the error,
 * whatever it is. Never throws.
 */
export function placedAt(error: unknown, lines: string, again = false): unknown {
  if (!(error instanceof Error) || (placed.has(error) && !again)) return error;
  placed.add(error);
  try {
    hide(error, "stack", lines === "" ? headOf(error) : `${headOf(error)}\n${lines}`);
  } catch {
    // The program has frozen the error.
  }
  return error;
}

/** Whether the value is an error of this library that did not come from another context. */
export function isOwnError(error: unknown): boolean {
  // The value may be a proxy, so `instanceof` may throw.
  return attempt(() => error instanceof MitogenError) === true && !isCallError(error);
}

/**
 * The same for an asynchronous function of this library, which then throws the error. The lines are those of
 * the code that awaits that function. `skip` is the number of this library's functions that await one
 * another.
 */
export async function placedAtWaiter(error: unknown, skip = 1, again = false): Promise<void> {
  if (!isOwnError(error)) return;
  // V8 knows the awaiting functions only after this function has been awaited.
  await undefined;
  const lines = callSite(placedAtWaiter)().split("\n");
  const awaiting = lines.filter((line) => /^ *at async /.test(line)).slice(skip);
  placedAt(error, awaiting.join("\n"), again);
}

/**
 * Adds the functions that read a stream to its error, whose stack shows where the stream was made. Adds none if the
 * same function made and reads the stream. For an asynchronous generator of this library, which then throws the error.
 */
export async function withReaderSite(error: unknown): Promise<void> {
  if (!isCallError(error)) return;
  // V8 knows the awaiting functions only after this function has been awaited.
  await undefined;
  const reading = callSite(withReaderSite)()
    .split("\n")
    .filter((line) => /^ *at async /.test(line))
    .slice(1);
  const { stack = "" } = error as Error;
  // If one function makes and reads the stream, the stack already shows that function.
  if (reading[0] === undefined || stack.includes(placeOf(reading[0]))) return;
  const missing = reading.filter((line) => !stack.includes(placeOf(line)));
  try {
    hide(error, "stack", `${stack.trimEnd()}\n${missing.join("\n")}`);
  } catch {
    // The program has frozen the error.
  }
}

/** The file and line of a frame, without the column. */
function placeOf(frame: string): string {
  return frame.replace(/^ *at async (?:.*\()?/, "").replace(/:\d+\)?$/, ":");
}

/**
 * The same for a call without a captured call site: there may be many calls, and capturing costs more than
 * the rest of a call. The lines are the functions that await the call, as V8 knows them. Rejects.
 */
export async function withAwaitingSite(error: unknown, context: Context): Promise<never> {
  // V8 looks for the functions that await this one. The promise of the call, which is resolved with this one,
  // awaits it from the second turn on.
  await undefined;
  await undefined;
  const lines = callSite(withAwaitingSite)().split("\n");
  // The other lines are only those that run the microtasks.
  const awaiting = lines.filter((line) => /^ *at async /.test(line)).join("\n");
  throw withCallSite(error, context, () => awaiting);
}

/**
 * Maps the remote stack to the lines of the source files, and adds the call site. Never throws, because the error
 * may be any abort reason.
 */
export function withCallSite(error: unknown, context: Context, site: () => string): unknown {
  if (!isCallError(error)) return isOwnError(error) ? placedAt(error, site()) : error;
  try {
    showOriginalStacks(error, context, 0);
    hide(error, "stack", `${error.stack}\n    at [${context.name}]\n${site()}`);
  } catch {
    // The error is the program's own, with a stack that cannot be changed.
  }
  return error;
}

/** The same for the causes, down to the depth that the wire format allows. */
function showOriginalStacks(error: Error, context: Context, depth: number): void {
  if (typeof error.stack === "string") {
    hide(error, "stack", readableStack(context, error.stack));
  }
  const { cause, errors } = error as { cause?: unknown; errors?: unknown };
  for (const inner of [cause, ...(Array.isArray(errors) ? errors : [])]) {
    if (inner instanceof Error && depth < MAX_CAUSES) showOriginalStacks(inner, context, depth + 1);
  }
}

/** Returns a stack with the lines of the source files, without the frames of this library in the target. */
export function readableStack(context: Context, stack: string): string {
  const lines = context.router.functions.originalStack(stack, context).split("\n");
  return lines.filter((line) => !OUR_FRAME.test(line)).join("\n");
}
