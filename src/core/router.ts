import { CallError, ChannelError, MitogenError, ProtocolError } from "../errors.ts";
import type { FunctionName } from "../functions/function-name.ts";
import { getLogger, type Logger } from "../logging/log.ts";
import { FrameRouter } from "../routing/frame-router.ts";
import type { Broker } from "../waiting/broker.ts";
import type { WaitOptions } from "../waiting/wait.ts";
import { type DecodeOptions, decodeValue } from "../wire/cbor/decoder.ts";
import { DEFAULT_LIMITS, type Limits } from "../wire/cbor/limits.ts";
import { FIRST_CREDIT_HANDLE } from "../wire/credit-handles.ts";
import { Encoding, type Frame, joinBody } from "../wire/frame.ts";
import { Handle } from "../wire/handles.ts";
import { Context } from "./context.ts";
import { deadReason, Message } from "./message.ts";
import type { Policy } from "./policy.ts";
import { Sender, type SendWindow } from "./sender.ts";

/** Names functions, and gets the modules that they need to a context. */
export interface Functions {
  /**
   * Names a function. Throws a TypeError with the cure if it cannot be called elsewhere. Throws for a class
   * unless `isClass`.
   */
  nameOf(fn: (...args: never[]) => unknown, isClass?: boolean): FunctionName;
  /**
   * Sends the modules that the function needs. Undefined if the target has them all; otherwise resolves when
   * they have been sent.
   */
  prepare(context: Context, name: FunctionName): Promise<void> | undefined;
  /** Maps a stack from a context to the lines of the source files. */
  originalStack(stack: string, context: Context): string;
  /** See `Context.import`. */
  importModule(context: Context, moduleUrl: string | URL, options: WaitOptions): Promise<object>;
}

/** The code to use contexts and senders: src/calls/caller/router-features.ts. */
export interface Features {
  shutdownContext(context: Context, wait: boolean): Promise<void>;
  /** The ways to call services of a context, with limits. Stacks begin above `caller`. */
  services(context: Context, options: WaitOptions, caller?: (...args: never[]) => unknown): object;
  /**
   * Returns a handle that is hard to guess for a handler that takes messages from everybody. Returns
   * undefined for a handler with a `respondent`, which gets the next handle for answers. Answers never take a
   * short way: the main thread may wait for one without its event loop.
   */
  newHandle(options: HandlerOptions): number | undefined;
  /** Throws if a message cannot have this address, or not this content. */
  checkMessage(to: unknown, content: unknown): void;
  /** Logs that a handler has answered a message that wants no answer. */
  dropReply(message: Message): void;
  newWindow(contextId: number): SendWindow;
  /** Reports to the senders of a handler what has been read. */
  newCredits(): { consumed(frame: Frame): void };
}

/** Options of `Router.addHandler`. */
export interface HandlerOptions {
  /** The number of the handle, from 1. By default a free one, which is hard to guess without a `respondent`. */
  handle?: number;
  /** True by default. False: the handler takes one message, and is removed before it is called. */
  persist?: boolean;
  /** A message is refused, and answered by a dead message, unless the policy returns true for it. */
  policy?: Policy;
  /** The only context that may send here. When it ends, the handler gets one dead message and is removed. */
  respondent?: Context;
  /** Whether the handler serves requests and waits for nothing. Then it gets no dead messages. @internal */
  service?: boolean;
  /** Whether to replace a handler that has this handle; the old one gets a dead message. False by default. */
  overwrite?: boolean;
}

/**
 * The router of a context: what {@link FrameRouter} does, with messages, contexts and values. The public
 * `Router` of the master adds the connection methods.
 */
export class CoreRouter extends FrameRouter {
  /** Does the input and output of this router. */
  broker!: Broker;
  /** The limits of values that are sent or received. @internal */
  readonly limits: Limits;
  /** @internal */
  readonly log: Logger = getLogger("mitogen.router");
  /** @internal */
  functions: Functions = noFunctions;
  /** Set in the master, and in a context that has loaded `mitogen:api`. @internal */
  features: Features | undefined;
  /** Set when a value with a context or a sender was received: the code to use them is then needed. @internal */
  hasReferences = false;
  readonly #decoding: DecodeOptions;
  readonly #contexts: Map<number, Context> = new Map();
  #self: Context | undefined;

  /** @internal */
  constructor(broker: Broker | undefined, options: ConstructorParameters<typeof FrameRouter>[0]) {
    super(options);
    if (broker !== undefined) this.broker = broker;
    // A value over the limit is refused as a message, so that a waiting caller gets an answer.
    this.limits = {
      ...DEFAULT_LIMITS,
      maxMessageBytes: Math.max(this.maxMessageBytes, DEFAULT_LIMITS.maxMessageBytes),
    };
    this.#decoding = { reviver: this, limits: this.limits };
    this.lossListeners.push((contextIds, reason) => this.forgetContexts(contextIds, reason));
  }

  /** The known contexts with a place in the tree, except this one. @internal */
  get contexts(): ReadonlyMap<number, Context> {
    return this.#contexts;
  }

  /** Returns the context of this process, under the name `self`. */
  myself(): Context {
    this.#self ??= new Context(this, this.contextId, "self");
    return this.#self;
  }

  /** Returns the context with this id: the same object every time while the context is reachable. */
  contextById(id: number, name?: string): Context {
    if (id === this.contextId) return this.myself();
    const known = this.#contexts.get(id);
    if (known !== undefined) return known;
    const context = new Context(this, id, name ?? `context.${id}`);
    // Only contexts with a place in the tree are kept, because ids that a child invents must not fill the master's
    // memory.
    if (this.peerOf(id) !== undefined || this.parentIds.includes(id)) this.#contexts.set(id, context);
    return context;
  }

  /** Makes a context of this router known before it is connected. @internal */
  protected adopt(context: Context): void {
    this.#contexts.set(context.contextId, context);
  }

  /**
   * Calls `fn` for every message to a handle, and returns the handle. `fn` runs on the event loop; an error that it
   * throws, or rejects with, is logged. Throws a RangeError if the handle is taken. Remove the handler with
   * {@link delHandler}.
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

  /** Throws a MitogenError if `mitogen:api` has not been loaded. @internal */
  requireFeatures(): Features {
    return this.features ?? refuse();
  }

  /** A handle that asks for credit: src/core/flow-control.ts. @internal */
  freeCreditHandle(): number {
    return this.handlers.freeHandle(FIRST_CREDIT_HANDLE);
  }

  /** Removes a handler. Unknown handles are ignored. */
  delHandler(handle: number): void {
    this.unlisten(handle);
  }

  /** Sends a message on its way. Never throws; a message that cannot be delivered is answered by a dead message. */
  route(message: Message): void {
    this.routeFrame(message);
  }

  /** See `Message.decode`. @internal */
  decode(frame: Frame): unknown {
    if (frame.replyTo === Handle.IS_DEAD) throw new ChannelError(deadReason(frame));
    const bytes = joinBody(frame);
    if (frame.encoding === Encoding.RAW) return bytes;
    const value = decodeValue(bytes, this.#decoding);
    if (value instanceof CallError) throw value;
    return value;
  }

  /** @internal */
  framePolicy(policy: Policy | undefined): ((frame: Message | Frame) => boolean) | undefined {
    return policy && ((frame) => policy(new Message(this, frame)));
  }

  /** See `Context.shutdown`. @internal */
  shutdownContext(context: Context, wait: boolean): Promise<void> {
    return this.requireFeatures().shutdownContext(context, wait);
  }

  // The methods of Reviver, which the decoder calls for references inside values.
  /** @internal */
  context(contextId: number, name: string): Context {
    this.hasReferences = true;
    // The name in a message is its sender's claim, so it is not stored for other messages.
    return (
      this.#contexts.get(contextId) ??
      (contextId === this.contextId ? this.myself() : new Context(this, contextId, name))
    );
  }

  /** @internal */
  sender(contextId: number, handle: number): Sender {
    this.hasReferences = true;
    // Messages to this sender carry our authority and our srcId. A child must not make us call a function,
    // end a context, or answer another context's call.
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

declare module "./context.ts" {
  interface ContextRouter extends CoreRouter {}
}
