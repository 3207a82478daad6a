import { importModule } from "../../src/calls/caller/module-handle.ts";
import { callErrorFrom } from "../../src/core/call-error.ts";
import type { Context } from "../../src/core/context.ts";
import { hasParentAuthority } from "../../src/core/policy.ts";
import type { CoreRouter, Functions } from "../../src/core/router.ts";
import type { FunctionName } from "../../src/functions/function-name.ts";
import { Deferred } from "../../src/waiting/deferred.ts";
import { Handle } from "../../src/wire/handles.ts";

type AnyFunction = (...args: never[]) => unknown;

/** Names functions by their `name`, and lets a test hold the modules of some of them. */
export class FakeFunctions implements Functions {
  readonly prepared: string[] = [];
  readonly #held: Map<string, Deferred<void>> = new Map();

  /** From now on `name` needs modules, which arrive when the returned promise is settled. */
  hold(name: string): Deferred<void> {
    const modules = new Deferred<void>();
    this.#held.set(name, modules);
    return modules;
  }

  nameOf(fn: AnyFunction): FunctionName {
    if (fn.name === "") throw new TypeError("Cannot call a function without a name");
    return { module: "file:///fake.js", path: [fn.name] };
  }

  prepare(_context: Context, { path }: FunctionName): Promise<void> | undefined {
    const name = path.join(".");
    this.prepared.push(name);
    return this.#held.get(name)?.promise;
  }

  originalStack(stack: string): string {
    return stack;
  }

  importModule(...args: Parameters<Functions["importModule"]>): Promise<object> {
    return importModule(...args);
  }
}

/** Runs calls at once, as a child would. Returns the names of the functions that it has run so far. */
export function dispatchCalls(router: CoreRouter, functions: Record<string, AnyFunction>): string[] {
  const started: string[] = [];
  router.addHandler(
    (message) => {
      const [, , path, args] = message.decode() as [null, string, string[], never[]];
      const name = path.join(".");
      started.push(name);
      try {
        message.reply(functions[name]?.(...args));
      } catch (error) {
        message.reply(callErrorFrom(error));
      }
    },
    { handle: Handle.CALL_FUNCTION, policy: hasParentAuthority, service: true },
  );
  return started;
}
