import { ConnectingRouter } from "../../connection/connecting-router.ts";
import { Connector, nameBelow } from "../../connection/connector.ts";
import { Context } from "../../core/context.ts";
import type { CoreRouter } from "../../core/router.ts";
import { debugContext } from "../../diagnostics/debug-context.ts";
import { MitogenError } from "../../errors.ts";
import { getLogger } from "../../logging/log.ts";
import { Handle } from "../../wire/handles.ts";
import type { ChildConfig } from "../shared-state.ts";
import { IdBlocks } from "./id-blocks.ts";

const log = getLogger("mitogen.profile");

/** How many connects a context may run at once. The same as the program's default. */
const CONNECT_CONCURRENCY = 32;
/** Members that only the program's own router has. */
const PROGRAM_ONLY = [
  "modules",
  "connect",
  "disconnect",
  "getStats",
  "enableDebug",
  "dump",
  "installDiagnostics",
];

/**
 * The router of a context. Its connection methods start children of that context, or of one below it. It asks
 * the broker thread, or that other context, to do so, as the program does. So the processes do not depend on
 * functions of this thread.
 */
export class ChildRouter extends ConnectingRouter {
  declare protected readonly connector: Connector;
  declare private readonly ids: IdBlocks;

  constructor() {
    super(undefined, { contextId: 0 });
    throw new MitogenError(
      "Cannot make a router in a context: the context has one already; use econtext().router",
    );
  }

  /** Turns the router with which a child starts into a ChildRouter. */
  static adopt(router: CoreRouter, config: ChildConfig): ChildRouter {
    const own = Object.setPrototypeOf(router, ChildRouter.prototype) as ChildRouter;
    own.start(config);
    return own;
  }

  override async shutdown(): Promise<void> {
    await Promise.all([...this.connector.started.values()].map((context) => context.shutdown()));
  }

  protected override async endContext(context: Context): Promise<void> {
    if (this.connector.started.has(context.contextId)) {
      await this.endThrough(context.via ?? this.myself(), context);
    } else await this.endByMessage(context);
  }

  /** Asks the master for the code to have children, and for ids for them. */
  async reserveIds(): Promise<void> {
    await this.ids.reserve(this.contextId);
  }

  private start({ isThread, logLevel }: ChildConfig): void {
    const ids = new IdBlocks(this);
    const connector = new Connector(this, {
      concurrency: CONNECT_CONCURRENCY,
      logLevel: () => logLevel,
      isShutDown: () => false,
      async allocateId(parentId) {
        if (isThread === true) {
          throw new TypeError(
            "Cannot connect from a thread: it cannot have children; use the context it belongs to",
          );
        }
        return await ids.take(parentId);
      },
      async during(connect, options, stack) {
        const context = await connect;
        if (options.debug === true) void debugContext(context, stack());
        if (options.profiling === true) {
          log.warning(
            `${context.name} is not profiled: only connects of the program have the option profiling`,
          );
        }
        return context;
      },
    });
    Object.defineProperties(this, { connector: { value: connector }, ids: { value: ids } });
    this.isAbove = (contextId, belowId) => this.isAtOrAbove(contextId, belowId);
    // [context id, name, node version]: a context that this thread asked for has started. Only the broker thread
    // sends messages in the name of this context.
    this.addHandler(
      (message) => {
        const [contextId, name, nodeVersion] = message.decode() as [number, string, string];
        this.noteStarted(contextId, name, nodeVersion);
      },
      { handle: Handle.ADD_ROUTE, policy: ({ srcId }) => srcId === this.contextId, service: true },
    );
  }

  private noteStarted(contextId: number, name: string, nodeVersion: string): void {
    const pending = this.connector.pending(contextId);
    if (pending === undefined) return;
    const context = new Context(this, contextId, nameBelow(pending.via, name), pending.via);
    this.adopt(context);
    this.connector.noteStarted(context, nodeVersion);
  }
}

for (const name of PROGRAM_ONLY) {
  Object.defineProperty(ChildRouter.prototype, name, {
    get() {
      throw new MitogenError(`Cannot use router.${name} in a context: only the program's own router has it`);
    },
  });
}
