import { Context } from "../../core/context.ts";
import { apiRef } from "../../functions/api-ref.ts";
import { WAIT_OPTIONS } from "../../options/option-types.ts";
import { checkMadeBy, readOptions } from "../../options/options.ts";
import type { WaitOptions } from "../../waiting/wait.ts";
import { type BoundCalls, bindCalls } from "./bound-calls.ts";
import type { ChainLink } from "./outbox.ts";

/** Functions of the part `mitogen:api` in the target: src/calls/target/chains.ts. */
const OPEN = apiRef<[id: number], void>("openChain");
const CLOSE = apiRef<[id: number], void>("closeChain");

/** Used only once in this process, because two chains of one context must not share an id. */
let lastId = 0;

/**
 * Calls to one context that run one after the other: each begins when the one before has settled. Once a call fails,
 * all later calls, even those already sent, fail with the same error and do not run, until `reset()`. Made by
 * `Context.chain()`.
 *
 * The calls are sent at once, so a chain of any length costs one round trip. A failure of `callNoReply` is not logged:
 * the next call fails with it. A module that cannot be loaded, a result that cannot travel, and a call given up by
 * `with()` are failures. An argument or function that is refused before anything is sent is not a failure, nor is a
 * stream that its reader leaves. Each chain takes a little memory in the target until it is disposed of.
 *
 * ```ts
 * await using chain = context.chain();
 * chain.callNoReply(fs.mkdirSync, "/srv/app");
 * await chain.call(fs.writeFileSync, "/srv/app/version", "7");
 * ```
 */
export class CallChain implements BoundCalls {
  /** The context that runs the calls. */
  readonly context: Context;
  /** Like `Context.call`, in its turn. */
  readonly call: BoundCalls["call"];
  /** Like `Context.callAsync`, in its turn. */
  readonly callAsync: BoundCalls["callAsync"];
  /** Like `Context.callNoReply`, in its turn. */
  readonly callNoReply: BoundCalls["callNoReply"];
  /** Like `Context.stream`, in its turn. */
  readonly stream: BoundCalls["stream"];
  readonly #id: number = ++lastId;
  /** Whether the target knows the chain. */
  #isOpen = false;
  #link: ChainLink;

  /** @internal */
  constructor(context: Context) {
    checkMadeBy(Context, "make a chain", "the first argument", "a Context", context);
    this.context = context;
    this.#link = this.newLink();
    ({
      call: this.call,
      callAsync: this.callAsync,
      callNoReply: this.callNoReply,
      stream: this.stream,
    } = this.with({}));
  }

  /**
   * Returns the call methods with a bound, like `Context.with`. A call that is given up is a failure of the chain.
   */
  with(options: WaitOptions): BoundCalls {
    const currentLink = (): ChainLink => this.#link;
    return bindCalls(this.context, {
      ...readOptions("call", options, WAIT_OPTIONS),
      get chain() {
        return currentLink();
      },
    });
  }

  /** Forgets the failure, in its turn: calls that were made before still fail, and later calls run. */
  reset(): void {
    this.#link = this.newLink();
    if (this.#isOpen) this.tell(OPEN);
  }

  /** Makes the target forget the chain, in its turn. Resolves at once; a later call opens the chain again. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#link = this.newLink();
    if (this.#isOpen) this.tell(CLOSE);
    this.#isOpen = false;
  }

  private newLink(): ChainLink {
    return { enter: () => this.open(), failure: undefined };
  }

  private open(): number {
    if (!this.#isOpen) this.tell(OPEN);
    this.#isOpen = true;
    return this.#id;
  }

  /** Does nothing for a target that is gone: it has no chains. */
  private tell(what: typeof OPEN): void {
    if (this.context.isConnected) this.context.callNoReply(what, this.#id);
  }
}
