import { printAsText } from "../wire/values/inspectable.ts";
import { checkNumber, travelsAs } from "../wire/values/references.ts";

/** The router that a context belongs to. src/core/router.ts declares its members. */
// biome-ignore lint/suspicious/noEmptyInterface: routers are made of contexts, and declared above them
export interface ContextRouter {}

/**
 * A context of the tree: a process, or a thread of one. The connection methods of a Router make it. A `Context` can
 * travel as an argument or a result; in its own process it arrives as the same object.
 */
export class Context {
  /** The id of the context, the same everywhere in the tree. The program itself is 0. */
  readonly contextId: number;
  /** Made from the method and the target (`ssh.web1`), unless the connect was given a `name`. */
  readonly name: string;
  /** The router of this process that reaches the context. */
  readonly router: ContextRouter;
  /** The context that started it; absent for a child of this process. */
  readonly via?: Context;
  /** Why the context can no longer be reached. Undefined while it can. @internal */
  goneReason: string | undefined;
  /** The turn of the last call that had to wait for its modules; calls leave in order. @internal */
  outbox: Promise<void> | undefined;
  /** Called once, with the reason, when the context is gone: src/calls/caller/disconnect.ts. @internal */
  goneListeners: Set<(reason: string) => void> | undefined;

  /** @internal */
  constructor(router: ContextRouter, contextId: number, name: string, via?: Context) {
    checkNumber("Context", contextId, "contextById()");
    this.router = router;
    this.contextId = contextId;
    this.name = name;
    if (via !== undefined) this.via = via;
  }

  /** False once the context can no longer be reached. True does not promise that the next call arrives. */
  get isConnected(): boolean {
    return this.goneReason === undefined;
  }

  /** The router calls this when the context is gone. @internal */
  markGone(reason: string): void {
    if (this.goneReason !== undefined) return;
    this.goneReason = reason;
    for (const fn of this.goneListeners || []) fn(reason);
  }

  /** `Context(1, 'ssh.web1')`. */
  toString(): string {
    return `Context(${this.contextId}, '${this.name}')`;
  }
}

printAsText(Context);
travelsAs(Context, ({ contextId, name, router }) => ({ kind: "context", contextId, name, router }));
