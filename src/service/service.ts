import type { Policy } from "../core/policy.ts";
import type { CoreRouter } from "../core/router.ts";
import { checkRouter } from "../options/options.ts";
import type { ArgSpec } from "./arg-spec.ts";
import type { Invoker } from "./invoker.ts";
import { identityOf } from "./request.ts";

/** An entry of `static exposed`: who may call a method, all policies together; and what the other decorators say. */
export type Exposed = Policy | readonly Policy[] | FullEntry;

/** The same, spelled out. */
export interface FullEntry {
  /** Who may call the method: all of these policies must agree. */
  readonly allow: Policy | readonly Policy[];
  /** As {@link argSpec} says. */
  readonly args?: ArgSpec;
  /** As {@link noReply} says. */
  readonly noReply?: boolean;
}

/**
 * A group of methods that other contexts may call by name, where their policies let them. Subclass it, export the class, and
 * say with {@link expose} who may call what.
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
 * A method gets the named arguments and the request's {@link Message}, whose `context` is the caller. There is one object per context
 * and class, made where it is first called or put into a {@link Pool}.
 */
export class Service {
  /** What callers name it by, in place of its module and export; not inherited. */
  static serviceName?: string;
  /** Who may call which methods; the same as the decorators say. */
  static exposed?: Readonly<Record<string, Exposed>>;
  /** How requests become calls: `Invoker` (the default), `SerializedInvoker`, `DeduplicatingInvoker`. */
  static invoker?: new () => Invoker;

  /** The router of the context that the service runs in. */
  readonly router: CoreRouter;

  constructor(router: CoreRouter) {
    checkRouter("make a service", router);
    this.router = router;
  }

  /** What callers name it by. Throws a TypeError for a class that is not exported and has no `serviceName`. */
  name(): string {
    return identityOf(this.router, this.constructor as typeof Service).name;
  }

  /** Called once when its pool has stopped, after the last method has ended; a pool waits for it. */
  onShutdown(): void | Promise<void> {}
}
