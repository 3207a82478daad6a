import type { Context } from "../core/context.ts";
import { MitogenError } from "../errors.ts";
import { callback } from "../options/option-types.ts";
import { takeOption } from "../options/options.ts";
import { read, textOf } from "../wire/values/thrown.ts";
import { localRouters } from "./local-routers.ts";
import type { Router } from "./router.ts";

/** The context that remote code runs in, and its place in the tree. */
export interface ExternalContext {
  /**
   * The router of this context: its connection methods start children of the context. `modules`, `connect`,
   * `disconnect`, `getStats`, `enableDebug`, `dump` and `installDiagnostics` throw a MitogenError: only the program's
   * router has them.
   */
  readonly router: Router;
  /** The context this code runs in. */
  readonly context: Context;
  /** The context that started this one. */
  readonly parent: Context;
  /** The ids of the contexts above this one: nearest first, ending with the master, 0. */
  readonly parentIds: readonly number[];
  /**
   * Lets this context, and all contexts below it, live on when the program ends. The parent sees the context
   * disconnect, and the call that runs this function rejects with a ChannelError. Later output and log records are
   * dropped, and modules that have not arrived cannot be loaded. The context ignores the signals of a terminal
   * (SIGHUP, SIGINT, SIGQUIT, SIGTSTP); SIGTERM ends it. A second call does nothing. Rejects with a ChannelError if
   * the parent refuses, and with a MitogenError in a thread.
   *
   * ```ts
   * export async function becomeDaemon(): Promise<void> {
   *   await econtext().detach();
   *   setInterval(cleanUp, 3_600_000);
   * }
   * ```
   */
  detach(): Promise<void>;
}

/** Returns the context that the calling function runs in. Throws a MitogenError in the program, which has no parent. */
export function econtext(): ExternalContext {
  throw new MitogenError(
    "Cannot get the external context: this code runs in the program itself, not in a context; call the function that asks for it with context.call()",
  );
}

/**
 * Makes a function whose callers leave out the first argument: the context that runs the function fills it in. In the
 * program, the function throws like {@link econtext}.
 *
 * ```ts
 * export const whereAmI = takesEcontext((econtext, prefix: string) => prefix + econtext.context.contextId);
 * console.log(await context.call(whereAmI, "context "));
 * ```
 */
export function takesEcontext<A extends readonly unknown[], R>(
  fn: (econtext: ExternalContext, ...args: A) => R,
): (...args: A) => R {
  return filledIn("econtext", fn, econtext);
}

/**
 * Like {@link takesEcontext}, for the router: makes a function that can start contexts wherever it runs.
 *
 * ```ts
 * export const countCores = takesRouter(async (router, hosts: string[]) => {
 *   const contexts = await Promise.all(hosts.map((hostname) => router.ssh({ hostname })));
 *   return await Promise.all(contexts.map((context) => context.call(os.availableParallelism)));
 * });
 * const cores = await bastion.call(countCores, ["web1", "web2"]);
 * ```
 * In the program, the function gets the program's router. It throws a MitogenError if the program has no router, or
 * several.
 */
export function takesRouter<A extends readonly unknown[], R>(
  fn: (router: Router, ...args: A) => R,
): (...args: A) => R {
  return filledIn("router", fn, onlyRouter);
}

/** The reference of such a function is found by way of `fn`, which it captures: src/loader/naming/name-function.ts. */
function filledIn<T, A extends readonly unknown[], R>(
  name: string,
  fn: (first: T, ...args: A) => R,
  first: () => T,
): (...args: A) => R {
  takeOption(`make a function that takes the ${name}`, "the first argument", fn, callback);
  const wrapped = (...args: A): R => fn(first(), ...args);
  Object.defineProperty(wrapped, "name", { value: textOf(read(fn, "name")), configurable: true });
  return wrapped;
}

function onlyRouter(): Router {
  const [router, ...others] = localRouters as Set<Router>;
  if (router !== undefined && others.length === 0) return router;
  throw new MitogenError(
    `Cannot fill in the router: this program has ${router === undefined ? "no router" : `${others.length + 1} routers`}; call the function in a context, or write one that takes the router as an ordinary argument`,
  );
}
