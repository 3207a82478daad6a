import { MitogenError } from "../errors.ts";
import { hide, isCallError } from "../wire/values/error-value.ts";
import { attempt, headOf, read } from "../wire/values/thrown.ts";
import type { Context } from "./context.ts";

/** Deeper causes keep their stacks as they came. */
const MAX_CAUSES = 16;
/** A line of a stack that says how a function came to be called, and nothing of the function. */
const OUR_FRAME = /(\(|at (async )?)(mitogen:|(node:)?(async_hooks|internal\/async_local_storage))/;

/** Errors that have got the lines of whoever waited for them. */
const placed = new WeakSet<object>();

/**
 * Makes the lines of the stack above `caller`, without the first `skip`; only the frames are captured now. None where user code has changed what a
 * stack is (`Error.prepareStackTrace`, `Error.captureStackTrace`).
 */
export function callSite(caller: (...args: never[]) => unknown, skip = 0): () => string {
  const site: { stack?: string } = {};
  try {
    Error.captureStackTrace(site, caller);
  } catch {
    // Then nobody knows.
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
 * Gives an error of this library a stack that begins with `lines`, the caller's: how it came about in here is of no use to them. The first who
 * waits counts, or, with `again`, this one. Returns the error, whatever it is; never throws.
 */
export function placedAt(error: unknown, lines: string, again = false): unknown {
  if (!(error instanceof Error) || (placed.has(error) && !again)) return error;
  placed.add(error);
  try {
    hide(error, "stack", lines === "" ? headOf(error) : `${headOf(error)}\n${lines}`);
  } catch {
    // One that the program has frozen.
  }
  return error;
}

/** Whether it is an error of this library that did not come from another context. */
export function isOwnError(error: unknown): boolean {
  // Asking may throw: it may be a proxy.
  return attempt(() => error instanceof MitogenError) === true && !isCallError(error);
}

/**
 * The same for an asynchronous function of this library, which throws it then: the lines are those of whoever awaits that
 * function. `skip` counts the functions of ours that await one another.
 */
export async function placedAtWaiter(error: unknown, skip = 1, again = false): Promise<void> {
  if (!isOwnError(error)) return;
  // V8 looks for who awaits this one, once it has been awaited.
  await undefined;
  const lines = callSite(placedAtWaiter)().split("\n");
  const awaiting = lines.filter((line) => /^ *at async /.test(line)).slice(skip);
  placedAt(error, awaiting.join("\n"), again);
}

/**
 * Adds to the error of a stream, whose stack leads to where the stream was made, the functions that read it, where those are others. For an
 * asynchronous generator of this library, which throws the error then.
 */
export async function withReaderSite(error: unknown): Promise<void> {
  if (!isCallError(error)) return;
  // V8 looks for who awaits this one, once it has been awaited.
  await undefined;
  const reading = callSite(withReaderSite)()
    .split("\n")
    .filter((line) => /^ *at async /.test(line))
    .slice(1);
  const { stack = "" } = error as Error;
  // In one function both are lines of it, often the same one.
  if (reading[0] === undefined || stack.includes(placeOf(reading[0]))) return;
  const missing = reading.filter((line) => !stack.includes(placeOf(line)));
  try {
    hide(error, "stack", `${stack.trimEnd()}\n${missing.join("\n")}`);
  } catch {
    // One that the program has frozen.
  }
}

/** The file and line of a frame, without the column. */
function placeOf(frame: string): string {
  return frame.replace(/^ *at async (?:.*\()?/, "").replace(/:\d+\)?$/, ":");
}

/**
 * The same of a call that has no place of its own, for calls are many at times and places cost more than all the rest: in it are the
 * functions that await the call, as V8 knows them. Rejects.
 */
export async function withAwaitingSite(error: unknown, context: Context): Promise<never> {
  // V8 looks for who awaits this one. The promise of the call, which is resolved with it, does so from the second turn on.
  await undefined;
  await undefined;
  const lines = callSite(withAwaitingSite)().split("\n");
  // Beside them is only who runs the microtasks.
  const awaiting = lines.filter((line) => /^ *at async /.test(line)).join("\n");
  throw withCallSite(error, context, () => awaiting);
}

/** The remote stack in the lines its author wrote, then where the call was made. Never throws: the error may be any abort reason. */
export function withCallSite(error: unknown, context: Context, site: () => string): unknown {
  if (!isCallError(error)) return isOwnError(error) ? placedAt(error, site()) : error;
  try {
    showOriginalStacks(error, context, 0);
    hide(error, "stack", `${error.stack}\n    at [${context.name}]\n${site()}`);
  } catch {
    // One of the program's own, with a stack of its own.
  }
  return error;
}

/** The same for the errors inside it; as deep as they can be nested on the wire. */
function showOriginalStacks(error: Error, context: Context, depth: number): void {
  if (typeof error.stack === "string") {
    hide(error, "stack", readableStack(context, error.stack));
  }
  const { cause, errors } = error as { cause?: unknown; errors?: unknown };
  for (const inner of [cause, ...(Array.isArray(errors) ? errors : [])]) {
    if (inner instanceof Error && depth < MAX_CAUSES) showOriginalStacks(inner, context, depth + 1);
  }
}

/** A stack in the lines its author wrote. The frames of this library's part in the target say nothing to them and are left out. */
export function readableStack(context: Context, stack: string): string {
  const lines = context.router.functions.originalStack(stack, context).split("\n");
  return lines.filter((line) => !OUR_FRAME.test(line)).join("\n");
}
