import type { Context } from "../core/context.ts";
import { connectionOf } from "../core/describe.ts";
import { FunctionRef } from "../functions/callable.ts";
import { API } from "../loader/builtins.ts";
import { getLogger } from "../logging/log.ts";
import { headOf, textOf } from "../wire/values/thrown.ts";

/** How long a context may take to open its debug log. */
const ENABLE_MS = 10_000;
const ENABLE = new FunctionRef<readonly [stack: string], string>(API, ["enableDebug"]);

const log = getLogger("mitogen.debug");

/**
 * Makes a context write a debug log: docs/debugging.md. `stack` says where the program asked for it. Logs
 * failures; never rejects.
 */
export async function debugContext(context: Context, stack: string): Promise<void> {
  try {
    const path = await context.with({ timeoutMs: ENABLE_MS }).call(ENABLE, stack);
    const facts = connectionOf(context);
    if (facts !== undefined) facts.debugFile = textOf(path);
  } catch (error) {
    log.warning(`${context.name} writes no debug log: ${headOf(error)}`);
  }
}
