import { createRequire } from "node:module";
import { callsInChild } from "../../src/calls/target/calls-in-child.ts";
import { Dispatcher } from "../../src/calls/target/dispatcher.ts";
import type { FunctionName } from "../../src/functions/function-name.ts";
import type { Importer } from "../../src/loader/evaluate/importer.ts";
import { Deferred } from "../../src/waiting/deferred.ts";
import { FakeFunctions } from "./fake-functions.ts";
import { type FakeRouter, masterAndChild, type Pair } from "./fake-tree.ts";

const require = createRequire(import.meta.url);

type AnyFunction = (...args: never[]) => unknown;

export interface FakeChild extends Pair {
  readonly functions: FakeFunctions;
  readonly dispatcher: Dispatcher;
  /** From now on the child waits for the module of this function, until the answer is resolved. */
  holdModule(name: string): Deferred<void>;
  /** What `import "mitogen"` gives in the child. */
  readonly library: Record<string, AnyFunction>;
}

/** A master, and a child that runs calls of these functions as a real child does, without any process. */
export function fakeChild(
  functions: Record<string, AnyFunction>,
  options: { hasLibrary?: boolean } = {},
): FakeChild {
  const pair = masterAndChild();
  pair.master.functions = new FakeFunctions();
  return {
    ...pair,
    functions: pair.master.functions as FakeFunctions,
    ...dispatching(pair.child, functions, options),
  };
}

/** The same for one router. */
export function dispatching(
  router: FakeRouter,
  functions: Record<string, AnyFunction>,
  { hasLibrary = true }: { hasLibrary?: boolean } = {},
): Pick<FakeChild, "dispatcher" | "holdModule" | "library"> {
  const held = new Map<string, Deferred<void>>();
  let library: Record<string, AnyFunction> = {};
  const find = ({ module, path }: FunctionName): { fn: AnyFunction; owner: unknown } => {
    const name = path.join(".");
    const fn = (module === "mitogen:api" ? library : functions)[name];
    if (fn === undefined) throw new TypeError(`no function ${name}`);
    return { fn, owner: undefined };
  };
  const importer = {
    lookUp: (name: FunctionName) => (held.has(name.path.join(".")) ? undefined : find(name)),
    async load(name: FunctionName) {
      await held.get(name.path.join("."))?.promise;
      return find(name);
    },
  };
  const dispatcher = new Dispatcher(router, importer as unknown as Importer);
  if (hasLibrary)
    library = callsInChild(router, dispatcher, importer as never, require) as Record<string, AnyFunction>;
  return {
    dispatcher,
    library,
    holdModule(name) {
      const module = new Deferred<void>();
      held.set(name, module);
      return module;
    },
  };
}
