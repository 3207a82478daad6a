import { installFeatures } from "../../src/calls/caller/router-features.ts";
import { Context } from "../../src/core/context.ts";
import { CoreRouter } from "../../src/core/router.ts";
import { serviceCallsOf } from "../../src/service/client.ts";
import { FakeBroker } from "./fake-broker.ts";
import { LinkPair } from "./link-pair.ts";

/** A router that can be told of its children without starting any. */
export class FakeRouter extends CoreRouter {
  readonly fakeBroker: FakeBroker;

  constructor(options: ConstructorParameters<typeof CoreRouter>[1]) {
    const broker = new FakeBroker();
    super(broker, options);
    this.fakeBroker = broker;
    installFeatures(this, serviceCallsOf);
  }

  /** The context of a child, before its link. */
  introduce(contextId: number, name: string, via?: Context): Context {
    const context = new Context(this, contextId, name, via);
    this.adopt(context);
    return context;
  }
}

export interface Pair {
  readonly master: FakeRouter;
  readonly child: FakeRouter;
  readonly wire: LinkPair;
  /** The child, as the master sees it. */
  readonly context: Context;
}

/** Master 0 and its child 1, and the wire between them. */
export function masterAndChild(options: { maxMessageBytes?: number; unidirectional?: boolean } = {}): Pair {
  const master = new FakeRouter({ contextId: 0, ...options });
  const child = new FakeRouter({ contextId: 1, parentIds: [0], ...options });
  return { master, child, ...connect(master, child) };
}

/** Joins two routers; the upper one knows the lower as `child.<id>`. */
export function connect(parent: FakeRouter, child: FakeRouter): { wire: LinkPair; context: Context } {
  const wire = new LinkPair(`child.${child.contextId}`, "parent");
  const context = parent.introduce(child.contextId, `child.${child.contextId}`);
  parent.attach(wire.left, child.contextId, "child");
  child.attach(wire.right, parent.contextId, "parent");
  return { wire, context };
}
