import { CallError } from "../errors.ts";
import type { Context } from "./context.ts";

/** Deeper causes keep their stacks as they came. */
const MAX_CAUSES = 16;
/** A line of a stack that says how a function came to be called, and nothing of the function. */
const OUR_FRAME = /(\(|at (async )?)(mitogen:|(node:)?(async_hooks|internal\/async_local_storage))/;

/** The remote stack in the lines its author wrote, then where the call was made. */
export function withCallSite(error: unknown, context: Context, site: { stack?: string }): unknown {
  if (!(error instanceof CallError)) return error;
  showOriginalStacks(error, context, 0);
  const here = (site.stack ?? "").split("\n").slice(1).join("\n");
  setStack(error, `${error.stack}\n    at [${context.name}]\n${here}`);
  return error;
}

/** The same for the errors inside it; as deep as they can be nested on the wire. */
function showOriginalStacks(error: Error, context: Context, depth: number): void {
  if (typeof error.stack === "string") {
    setStack(error, readableStack(context, error.stack));
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

function setStack(error: Error, value: string): void {
  Object.defineProperty(error, "stack", { value, writable: true, configurable: true, enumerable: false });
}
