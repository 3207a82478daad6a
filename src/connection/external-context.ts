import type { Context } from "../core/context.ts";
import { MitogenError } from "../errors.ts";
import { callback } from "../options/option-types.ts";
import { takeOption } from "../options/options.ts";
import { read, textOf } from "../wire/values/thrown.ts";
import { localRouters } from "./local-routers.ts";
import type { Router } from "./router.ts";

/** What remote code knows of where it runs. */
export interface ExternalContext {
  /**
   * The context's own: its connection methods start children of this context. `modules`, `connect`, `disconnect` and
   * `getStats` are the program's and throw here.
   */
  readonly router: Router;
  /** The context this code runs in. */
  readonly context: Context;
  /** The context that started this one. */
  readonly parent: Context;
  /** Nearest first, ending with the master, 0. */
  readonly parentIds: readonly number[];
  /**
   * Lets this context, with all below it, live on when the program ends. Its parent sees it disconnect; whoever waits for
   * the function that called this gets a ChannelError. What it prints and logs from then on goes nowhere, and it has no
   * modules but those that are here. Signals of the terminal (SIGHUP, SIGINT, SIGQUIT, SIGTSTP) are ignored from then on;
   * SIGTERM ends it. A second call does nothing. Rejects with a ChannelError when the parent refuses, with a MitogenError in a thread.
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

/** Inside a remote function: the context it runs in. Throws a MitogenError in the master, which is nobody's child. */
export function econtext(): ExternalContext {
  throw new MitogenError(
    "Cannot get the external context: this code runs in the program itself, not in a context; call the function that asks for it with context.call()",
  );
}

/**
 * A function whose first argument is filled in by the context it runs in: callers leave it out. Called in the master, where there is
 * none, it throws like {@link econtext}.
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
 * The same for the router: a function that starts contexts, wherever it runs.
 *
 * ```ts
 * export const countCores = takesRouter(async (router, hosts: string[]) => {
 *   const contexts = await Promise.all(hosts.map((hostname) => router.ssh({ hostname })));
 *   return await Promise.all(contexts.map((context) => context.call(os.availableParallelism)));
 * });
 * const cores = await bastion.call(countCores, ["web1", "web2"]);
 * ```
 *
 * Called in the master it gets the program's router. Throws a MitogenError when the program has none or several, which it cannot
 * choose from.
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
