import { MitogenError, ProtocolError } from "../errors.ts";
import { Encoding } from "../wire/frame.ts";
import { Handle } from "../wire/handles.ts";
import { DEFAULT_LIMITS, type Limits } from "../wire/limits.ts";
import type { Reviver } from "../wire/references.ts";
import { Broker } from "./broker.ts";
import type { CallChain } from "./call-chain.ts";
import { Context } from "./context.ts";
import { FrameRouter } from "./frame-router.ts";
import { getLogger, type Logger } from "./log.ts";
import { Message } from "./message.ts";
import type { Policy } from "./policy.ts";
import { Sender } from "./sender.ts";

/** A function by module and path, as it is named on the wire. */
export interface FunctionName {
  readonly module: string;
  readonly path: readonly string[];
}

/** How this process finds the name of a function, and gets to a context what the function needs. */
export interface Functions {
  /** Throws a TypeError, with the cure, for a function that cannot be called elsewhere. */
  nameOf(fn: (...args: never[]) => unknown): FunctionName;
  /** Undefined when the target has everything; otherwise resolves when it has been sent ahead. */
  prepare(context: Context, name: FunctionName): Promise<void> | undefined;
  /** A stack in the lines the author wrote. */
  originalStack(stack: string): string;
}

export interface HandlerOptions {
  handle?: number;
  /** False: removed before the single call. */
  persist?: boolean;
  policy?: Policy;
  /** Messages of any other context are refused; its end is told by one dead message. */
  respondent?: Context;
  /** It serves requests and waits for nothing: dead messages are dropped in front of it. */
  service?: boolean;
  overwrite?: boolean;
}

/**
 * The router of a context: what {@link FrameRouter} does, with messages, contexts and values. The public
 * `Router` of the master adds the connection methods.
 */
export class CoreRouter extends FrameRouter implements Reviver {
  readonly broker: Broker;
  /** What a value may be, to be sent or received. */
  readonly limits: Limits;
  readonly log: Logger = getLogger("mitogen.router");
  functions: Functions = noFunctions;
  /** Set where the code for it is: in the master, and with the part `mitogen:api`. */
  newChain: ((context: Context) => CallChain) | undefined;
  readonly #contexts: Map<number, Context> = new Map();
  #self: Context | undefined;

  constructor(broker: Broker | undefined, options: ConstructorParameters<typeof FrameRouter>[0]) {
    super(options);
    this.broker = broker ?? new Broker();
    // A value over the limit is refused as a message, with an answer to whoever waits.
    this.limits = {
      ...DEFAULT_LIMITS,
      maxMessageBytes: Math.max(this.maxMessageBytes, DEFAULT_LIMITS.maxMessageBytes),
    };
    this.onContextsLost = (contextIds, reason) => this.forget(contextIds, reason);
  }

  /** This context, under the name `self`. */
  myself(): Context {
    this.#self ??= new Context(this, this.contextId, "self");
    return this.#self;
  }

  /** The context of that id; the same object every time while it is reachable. */
  contextById(id: number, name?: string): Context {
    if (id === this.contextId) return this.myself();
    const known = this.#contexts.get(id);
    if (known !== undefined) return known;
    const context = new Context(this, id, name ?? `context.${id}`);
    // Only what has a place in the tree is kept: ids made up by a child must not fill the master's memory.
    if (this.peerOf(id) !== undefined || this.parentIds.includes(id)) this.#contexts.set(id, context);
    return context;
  }

  /** Makes a context of this router known before it is connected. */
  protected adopt(context: Context): void {
    this.#contexts.set(context.contextId, context);
  }

  /**
   * Calls `fn` for every message to a handle, and returns the handle. Runs on the event loop; what it throws is logged.
   * Throws a RangeError when the handle is taken.
   */
  addHandler(fn: (message: Message) => void, options: HandlerOptions = {}): number {
    return this.listen((frame) => fn(new Message(this, frame)), {
      handle: options.handle,
      isPersistent: options.persist ?? true,
      policy: this.framePolicy(options.policy),
      respondentId: options.respondent?.contextId,
      isService: options.service ?? false,
      overwrite: options.overwrite ?? false,
    });
  }

  /** Removes a handler; unknown handles are ignored. */
  delHandler(handle: number): void {
    this.unlisten(handle);
  }

  /** Sends a message on its way. Never throws; what cannot be delivered is answered by a dead message. */
  route(message: Message): void {
    this.routeFrame(message);
  }

  framePolicy(
    policy: Policy | undefined,
  ): ((frame: Message | ConstructorParameters<typeof Message>[1]) => boolean) | undefined {
    return policy && ((frame) => policy(new Message(this, frame)));
  }

  /** See `Context.shutdown`. */
  async shutdownContext(context: Context, wait: boolean): Promise<void> {
    if (context.goneReason !== undefined) return;
    const dstId = context.contextId;
    if (!wait) {
      this.sendShutdown(dstId);
      return;
    }
    this.broker.hold();
    // No answer comes but a dead message: it is gone, or nobody can reach it, or it refuses.
    await new Promise<void>((resolve) => {
      this.sendShutdown(
        dstId,
        this.listen(() => resolve(), { isPersistent: false, respondentId: dstId }),
      );
    });
    this.broker.release();
  }

  protected sendShutdown(dstId: number, replyTo = 0): void {
    const { contextId } = this;
    this.routeFrame({
      encoding: Encoding.RAW,
      dstId,
      srcId: contextId,
      authId: contextId,
      handle: Handle.SHUTDOWN,
      replyTo,
      body: [],
    });
  }

  // Reviver: what the decoder calls for references inside values.
  context(contextId: number, name: string): Context {
    // A name in a message is its sender's word: it is not remembered for others.
    return (
      this.#contexts.get(contextId) ??
      (contextId === this.contextId ? this.myself() : new Context(this, contextId, name))
    );
  }

  sender(contextId: number, handle: number): Sender {
    // Sending to it carries our authority: a child must not have us call a function, or end a context, for it.
    if (handle >= Handle.GET_MODULE && handle <= Handle.LAST_RESERVED) {
      throw new ProtocolError(`Cannot decode sender: handle ${handle} is reserved`);
    }
    return new Sender(this, contextId, handle);
  }

  private forget(contextIds: readonly number[], reason: string): void {
    for (const id of contextIds) {
      const context = this.#contexts.get(id);
      this.#contexts.delete(id);
      context?.markGone(reason);
    }
  }
}

const noFunctions: Functions = {
  nameOf() {
    throw new MitogenError("Cannot call functions from this context: it has no way to name them");
  },
  prepare: () => undefined,
  originalStack: (stack) => stack,
};
