import { hide, isCallError } from "../wire/error-value.ts";
import { read } from "../wire/thrown.ts";
import type { Context } from "./context.ts";

/** Deeper causes keep their stacks as they came. */
const MAX_CAUSES = 16;
/** A line of a stack that says how a function came to be called, and nothing of the function. */
const OUR_FRAME = /(\(|at (async )?)(mitogen:|(node:)?(async_hooks|internal\/async_local_storage))/;

/**
 * Makes the lines of the stack above `caller`; only the frames are captured now. None where user code has changed what a stack is
 * (`Error.prepareStackTrace`, `Error.captureStackTrace`).
 */
export function callSite(caller: (...args: never[]) => unknown): () => string {
  const site: { stack?: string } = {};
  try {
    Error.captureStackTrace(site, caller);
  } catch {
    // Then nobody knows.
  }
  return () => {
    const stack = read(site, "stack");
    return typeof stack === "string" ? stack.replace(/^.*\n?/, "") : "";
  };
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
  if (!isCallError(error)) return error;
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
