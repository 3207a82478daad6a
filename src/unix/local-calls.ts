import { fileURLToPath } from "node:url";
import { callsInChild } from "../calls/target/calls-in-child.ts";
import { Dispatcher, type FunctionLoader } from "../calls/target/dispatcher.ts";
import type { CoreRouter } from "../core/router.ts";
import type { FunctionName } from "../functions/function-name.ts";
import { API, isBuiltin } from "../loader/builtins.ts";
import { findFunction } from "../loader/evaluate/importer.ts";
import { ownRequire } from "../loader/own-require.ts";

type Target = ReturnType<typeof findFunction>;

/**
 * Runs functions of this program for programs that have connected to a listener. Those programs have this
 * program's own authority. They name modules by files of this machine, which they could also run themselves.
 */
export function acceptCalls(router: CoreRouter): void {
  const loader = new LocalFunctions();
  loader.library = callsInChild(router, new Dispatcher(router, loader), loader, ownRequire());
}

/** The functions of this program itself. */
class LocalFunctions implements FunctionLoader {
  /** The functions that callers' chains, streams and imports call. */
  library: Record<string, unknown> = {};

  lookUp(name: FunctionName): Target | undefined {
    const { module } = name;
    if (module === "global") return findFunction(globalThis, name);
    if (module === API) return findFunction(this.library, name);
    return isBuiltin(module) ? findFunction(ownRequire()(module), name) : undefined;
  }

  async load(name: FunctionName): Promise<Target> {
    return this.lookUp(name) ?? findFunction((await this.evaluate(name.module)).value, name);
  }

  async evaluate(id: string): Promise<{ value: unknown }> {
    if (!id.startsWith("file:")) throw new TypeError(`Cannot call a function of ${id}: it is not a file`);
    const namespace: unknown = await import(id);
    // The path to a function of CommonJS starts at `module.exports`.
    const loaded = ownRequire().cache[fileURLToPath(id)];
    return { value: loaded === undefined ? namespace : loaded.exports };
  }
}
