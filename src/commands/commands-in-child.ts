import type { CoreRouter } from "../core/router.ts";
import { CommandError } from "./command-error.ts";
import { farSideOf } from "./far-side.ts";
import { run } from "./run.ts";

/**
 * The exports of `import "mitogen"` for commands in a child, and the functions that the other ends of
 * commands call.
 */
export function commandsInChild(router: CoreRouter): Record<string, unknown> {
  return { ...farSideOf(router), CommandError, run };
}
