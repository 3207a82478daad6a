import { MitogenError } from "../../errors.ts";
import { ChildRouter } from "./child-router.ts";
import { detach } from "./detach.ts";
import type { Host } from "./host.ts";

type AnyFunction = (...args: unknown[]) => unknown;

/**
 * The exports of `import "mitogen"` that tell a child where it runs: `econtext()` and the wrappers that pass
 * it on.
 */
export function econtextInChild({ router, config, link, nonce }: Host): Record<string, unknown> {
  const own = ChildRouter.adopt(router, config);
  let detached: Promise<void> | undefined;
  const external = {
    router: own,
    context: own.myself(),
    parent: own.contextById(own.parentIds[0] as number),
    parentIds: own.parentIds,
    detach: () => {
      // A second call joins the first. A refused call may be repeated.
      detached ??= detach(own, link, nonce).catch((error) => {
        detached = undefined;
        throw error;
      });
      return detached;
    },
  };
  const takes =
    (first: unknown) =>
    (fn: AnyFunction): AnyFunction => {
      const wrapped = (...args: unknown[]): unknown => fn(first, ...args);
      Object.defineProperty(wrapped, "name", { value: fn.name, configurable: true });
      return wrapped;
    };
  return {
    Router: ChildRouter,
    addRuntime: onlyInProgram("add a runtime"),
    clearRuntimes: onlyInProgram("clear runtimes"),
    connect: onlyInProgram("connect to a listener"),
    econtext: () => external,
    listen: onlyInProgram("listen"),
    listRuntimes: onlyInProgram("list runtimes"),
    takesEcontext: takes(external),
    takesRouter: takes(own),
  };
}

function onlyInProgram(what: string): () => never {
  return () => {
    throw new MitogenError(`Cannot ${what} in a context: only the program can`);
  };
}
