import type { Policy } from "../core/policy.ts";
import type { CoreRouter } from "../core/router.ts";
import { checkRouter } from "../options/options.ts";
import type { ArgSpec } from "./arg-spec.ts";
import type { Invoker } from "./invoker.ts";
import { identityOf } from "./request.ts";

/** An entry of `static exposed`: the policies that must all allow a call, or an object that also says the rest. */
export type Exposed = Policy | readonly Policy[] | FullEntry;

/** An entry of `static exposed` with everything that the decorators can say. */
export interface FullEntry {
  /** Who may call the method: all of these policies must agree. */
  readonly allow: Policy | readonly Policy[];
  /** The required arguments, as for {@link argSpec}. */
  readonly args?: ArgSpec;
  /** True: the result is not sent, as with {@link noReply}. False by default. */
  readonly noReply?: boolean;
}

/**
 * A group of methods that other contexts may call by name, if the policies allow it. Subclass it, export the class, and
 * say with {@link expose} who may call which method.
 *
 * ```ts
 * export class Inventory extends Service {
 *   static exposed = { list: AllowParents };
 *   list({ kind }: { kind: string }) {
 *     return this.#byKind.get(kind);
 *   }
 * }
 * ```
 *
 * A method gets the named arguments and the request's {@link Message}, whose `context` is the caller. Each context has
 * one object of a class: the one that was added to its {@link Pool}, or one that the first request makes.
 */
export class Service {
  /** The name by which callers call the service, in place of its module and export. Not inherited. */
  static serviceName?: string;
  /** Who may call which methods, by the names of the methods. The decorators do the same. */
  static exposed?: Readonly<Record<string, Exposed>>;
  /** Decides when requests run: `Invoker` (the default), `SerializedInvoker`, `DeduplicatingInvoker`. */
  static invoker?: new () => Invoker;

  /** The router of the context that the service runs in. */
  readonly router: CoreRouter;

  constructor(router: CoreRouter) {
    checkRouter("make a service", router);
    this.router = router;
  }

  /** Returns the name of the service. Throws a TypeError if its class is not exported and has no `serviceName`. */
  name(): string {
    return identityOf(this.router, this.constructor as typeof Service).name;
  }

  /** Called once when the pool stops, after the last method has ended. The pool waits for it. */
  onShutdown(): void | Promise<void> {}
}
