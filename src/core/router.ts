import { CallError, ChannelError, MitogenError, ProtocolError } from "../errors.ts";
import { type DecodeOptions, decodeValue } from "../wire/decoder.ts";
import { Encoding, type Frame, joinBody } from "../wire/frame.ts";
import { Handle } from "../wire/handles.ts";
import { DEFAULT_LIMITS, type Limits } from "../wire/limits.ts";
import type { Reviver } from "../wire/references.ts";
import type { bindCalls } from "./bound-calls.ts";
import type { Broker } from "./broker.ts";
import type { call, callAsync, callNoReply } from "./call.ts";
import type { CallChain } from "./call-chain.ts";
import { Context } from "./context.ts";
import type { ping, request, shutdownContext } from "./context-requests.ts";
import { FIRST_CREDIT_HANDLE } from "./credit-handles.ts";
import type { ContextDescription } from "./describe.ts";
import type { disconnected, onDisconnect } from "./disconnect.ts";
import type { Credits, Window } from "./flow-control.ts";
import { FrameRouter } from "./frame-router.ts";
import { getLogger, type Logger } from "./log.ts";
import { deadReason, Message } from "./message.ts";
import type { Policy } from "./policy.ts";
import { Sender } from "./sender.ts";
import type { ServiceClient } from "./service-call.ts";
import type { stream } from "./stream.ts";
import type { WaitOptions } from "./wait.ts";

/** A function by module and path, as it is named on the wire. */
export interface FunctionName {
  readonly module: string;
  readonly path: readonly string[];
}

/** How this process finds the name of a function, and gets to a context what the function needs. */
export interface Functions {
  /** Throws a TypeError, with the cure, for a function that cannot be called elsewhere; for a class unless `isClass`. */
  nameOf(fn: (...args: never[]) => unknown, isClass?: boolean): FunctionName;
  /** Undefined when the target has everything; otherwise resolves when it has been sent ahead. */
  prepare(context: Context, name: FunctionName): Promise<void> | undefined;
  /** A stack that comes from a context, in the lines the author wrote. */
  originalStack(stack: string, context: Context): string;
  /** See `Context.import`. */
  importModule(context: Context, moduleUrl: string | URL, options: WaitOptions): Promise<object>;
}

/** What user code does with contexts and senders: src/core/features.ts. */
export interface Features {
  readonly call: typeof call;
  readonly callAsync: typeof callAsync;
  readonly callNoReply: typeof callNoReply;
  readonly stream: typeof stream;
  readonly bindCalls: typeof bindCalls;
  readonly request: typeof request;
  readonly ping: typeof ping;
  readonly disconnected: typeof disconnected;
  readonly onDisconnect: typeof onDisconnect;
  readonly shutdownContext: typeof shutdownContext;
  readonly services: ServiceClient;
  /** Bounds that the program gave, checked; `what` completes "Cannot" in the error. */
  bounds(what: string, options: WaitOptions): WaitOptions;
  /** The same for the options of `Context.shutdown`: whether it waits. */
  waits(options: { wait?: boolean }): boolean;
  newChain(context: Context): CallChain;
  describe(context: Context): ContextDescription;
  /**
   * For a handler of everybody, one that is hard to guess; for one of a `respondent` none, that is the next of those for answers. Answers never take a
   * short way: the main thread may wait for one without its event loop.
   */
  newHandle(options: HandlerOptions): number | undefined;
  newWindow(contextId: number): Window;
  newCredits(): Credits;
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
  /** Given, or made with the features: nobody waits without them. */
  broker!: Broker;
  /** What a value may be, to be sent or received. */
  readonly limits: Limits;
  readonly log: Logger = getLogger("mitogen.router");
  functions: Functions = noFunctions;
  /** Set where the code for it is: in the master, and with the part `mitogen:api`. */
  features: Features | undefined;
  /** Set when a value with a context or a sender in it was received: what it takes to use them is needed. */
  hasReferences = false;
  readonly #decoding: DecodeOptions;
  readonly #contexts: Map<number, Context> = new Map();
  #self: Context | undefined;

  constructor(broker: Broker | undefined, options: ConstructorParameters<typeof FrameRouter>[0]) {
    super(options);
    if (broker !== undefined) this.broker = broker;
    // A value over the limit is refused as a message, with an answer to whoever waits.
    this.limits = {
      ...DEFAULT_LIMITS,
      maxMessageBytes: Math.max(this.maxMessageBytes, DEFAULT_LIMITS.maxMessageBytes),
    };
    this.#decoding = { reviver: this, limits: this.limits };
    this.onContextsLost = (contextIds, reason) => this.forgetContexts(contextIds, reason);
  }

  /** The contexts that are known and have a place in the tree, but for this one. */
  get contexts(): ReadonlyMap<number, Context> {
    return this.#contexts;
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
   * Calls `fn` for every message to a handle, and returns the handle. Runs on the event loop; what it throws, or an
   * async one rejects with, is logged. Throws a RangeError when the handle is taken.
   */
  addHandler(fn: (message: Message) => void, options: HandlerOptions = {}): number {
    const credits = this.features?.newCredits();
    const onFrame = (frame: Frame): unknown => {
      credits?.consumed(frame);
      return fn(new Message(this, frame));
    };
    return this.listen(onFrame, {
      handle: options.handle ?? this.features?.newHandle(options),
      isPersistent: options.persist ?? true,
      policy: this.framePolicy(options.policy),
      respondentId: options.respondent?.contextId,
      isService: options.service ?? false,
      overwrite: options.overwrite ?? false,
    });
  }

  /** Throws a MitogenError where the code for it is not. */
  requireFeatures(): Features {
    return this.features ?? refuse();
  }

  /** A handle that asks for credit: src/core/flow-control.ts. */
  freeCreditHandle(): number {
    return this.freeHandle(FIRST_CREDIT_HANDLE);
  }

  /** Removes a handler; unknown handles are ignored. */
  delHandler(handle: number): void {
    this.unlisten(handle);
  }

  /** Sends a message on its way. Never throws; what cannot be delivered is answered by a dead message. */
  route(message: Message): void {
    this.routeFrame(message);
  }

  /** See `Message.decode`. */
  decode(frame: Frame): unknown {
    if (frame.replyTo === Handle.IS_DEAD) throw new ChannelError(deadReason(frame));
    const bytes = joinBody(frame);
    if (frame.encoding === Encoding.RAW) return bytes;
    const value = decodeValue(bytes, this.#decoding);
    if (value instanceof CallError) throw value;
    return value;
  }

  framePolicy(policy: Policy | undefined): ((frame: Message | Frame) => boolean) | undefined {
    return policy && ((frame) => policy(new Message(this, frame)));
  }

  /** See `Context.shutdown`. */
  shutdownContext(context: Context, wait: boolean): Promise<void> {
    return this.requireFeatures().shutdownContext(context, wait);
  }

  // Reviver: what the decoder calls for references inside values.
  context(contextId: number, name: string): Context {
    this.hasReferences = true;
    // A name in a message is its sender's word: it is not remembered for others.
    return (
      this.#contexts.get(contextId) ??
      (contextId === this.contextId ? this.myself() : new Context(this, contextId, name))
    );
  }

  sender(contextId: number, handle: number): Sender {
    this.hasReferences = true;
    // Sending to it carries our authority, and our srcId: a child must not have us call a function, end a context, or answer another's call for it.
    if ((handle >= Handle.GET_MODULE && handle <= Handle.LAST_RESERVED) || handle >= Handle.FIRST_REPLY) {
      throw new ProtocolError(`Cannot decode sender: handle ${handle} is reserved`);
    }
    return new Sender(this, contextId, handle);
  }

  private forgetContexts(contextIds: readonly number[], reason: string): void {
    for (const id of contextIds) {
      const context = this.#contexts.get(id);
      this.#contexts.delete(id);
      context?.markGone(reason);
    }
  }
}

function refuse(): never {
  throw new MitogenError('Cannot use contexts and senders: no module of this context imports "mitogen"');
}

const noFunctions: Functions = {
  nameOf: refuse,
  importModule: refuse,
  prepare: () => undefined,
  originalStack: (stack) => stack,
};
