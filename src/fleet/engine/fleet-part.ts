import type { ConnectingRouter } from "../../connection/connecting-router.ts";
import { gatherFacts } from "./facts.ts";
import { type HopLibrary, hopFunctions } from "./hop.ts";

/** The context in which the part is: src/remote/api/host.ts. */
interface PartHost {
  readonly router: ConnectingRouter;
  readonly importer: { library(): object };
}

/** The exports of the part `mitogen:fleet`. */
export function mitogenModule({ router, importer }: PartHost): Record<string, unknown> {
  return { gatherFacts, ...hopFunctions(router, () => importer.library() as HopLibrary) };
}
