import { MitogenError } from "../errors.ts";
import type { Context } from "./context.ts";
import type { CoreRouter } from "./router.ts";

/** What remote code knows of where it runs. */
export interface ExternalContext {
  readonly router: CoreRouter;
  /** The context this code runs in. */
  readonly context: Context;
  readonly parent: Context;
  /** Nearest first, ending with the master, 0. */
  readonly parentIds: readonly number[];
}

/** Inside a remote function: the context it runs in. Throws a MitogenError in the master, which is nobody's child. */
export function econtext(): ExternalContext {
  throw new MitogenError("Cannot get the external context: this code runs in the master, not in a context");
}
