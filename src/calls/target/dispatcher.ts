import { callErrorFrom } from "../../core/call-error.ts";
import type { Message } from "../../core/message.ts";
import { hasParentAuthority } from "../../core/policy.ts";
import type { CoreRouter } from "../../core/router.ts";
import { type CallError, MitogenError, ProtocolError } from "../../errors.ts";
import type { FunctionName } from "../../functions/function-name.ts";
import { printFunction } from "../../functions/print-function.ts";
import { API } from "../../loader/builtins.ts";
import { getLogger } from "../../logging/log.ts";
import { Handle } from "../../wire/handles.ts";

type AnyFunction = (...args: unknown[]) => unknown;

/** A call that has arrived and is not over. */
export interface Call {
  readonly message: Message;
  /** The chain of its caller that it belongs to, or null. */
  readonly chain: number | null;
  readonly name: FunctionName;
  readonly args: unknown[];
  /** Its caller wants to know that it is over, nothing more: a failure is logged here. */
  readonly isQuiet: boolean;
  /** Why its caller has given it up. */
  cancelReason: unknown;
}

/** The failure it was answered with, if it was one. */
export type Outcome = CallError | undefined;

/** Runs a call and answers it; with a `refusal` it is answered by that, unexecuted. Never throws or rejects. */
export type Perform = (refusal?: unknown) => Outcome | Promise<Outcome>;

interface Target {
  readonly fn: AnyFunction;
  /** What `this` is inside. */
  readonly owner: unknown;
}

/** Finds the functions that calls name. */
export interface FunctionLoader {
  /** The function, if that needs no waiting. Throws a TypeError when there is none of that name. */
  lookUp(name: FunctionName): Target | undefined;
  /** The function, after evaluating its module. Rejects with what the evaluation throws, and with a TypeError. */
  load(name: FunctionName): Promise<Target>;
  /** The exports of a module. Boxed: one that exports `then` is no promise. */
  evaluate(id: string): Promise<{ value: unknown }>;
}

const log = getLogger("mitogen.calls");
/** A part of this library, by something that it exports. */
const API_PART: FunctionName = { module: API, path: ["econtext"] };
const MALFORMED: FunctionName = { module: "a malformed message", path: ["?"] };

/**
 * Runs the functions others call here. Calls start in the order they arrived: one whose modules are being evaluated holds up
 * those behind it, one that has started does not.
 */
export class Dispatcher {
  /** Decides when, and surrounded by what, a call runs. The part `mitogen:api` puts chains and `currentCall()` here. */
  around: (call: Call, perform: Perform) => unknown = refuseChained;
  /** Told of calls whose callers gave them up. */
  onCancelled: ((call: Call) => void) | undefined;
  readonly calls: Set<Call> = new Set();
  readonly #loader: FunctionLoader;
  readonly #waiting: Call[] = [];
  readonly #router: CoreRouter;
  #isLoading = false;

  constructor(router: CoreRouter, loader: FunctionLoader) {
    this.#router = router;
    this.#loader = loader;
    // Running code is what authority is for: a sibling, or a child of this context, may not.
    const options = { policy: hasParentAuthority, service: true };
    router.addHandler((message) => this.receiveCall(message), { handle: Handle.CALL_FUNCTION, ...options });
    router.addHandler(
      (message) => {
        const [replyTo, reason] = message.decode() as [number, unknown];
        // srcId has been verified: nobody but its caller, not even another context above, ends a call.
        this.cancel(
          (call) => call.message.srcId === message.srcId && call.message.replyTo === replyTo,
          reason,
        );
      },
      { handle: Handle.CANCEL_CALL, ...options },
    );
  }

  /** Gives calls up: those that have not started never will, the others may notice. */
  cancel(isMeant: (call: Call) => boolean, reason: unknown): void {
    for (const call of this.calls) {
      if (!isMeant(call)) continue;
      call.cancelReason = reason;
      this.onCancelled?.(call);
    }
  }

  private receiveCall(message: Message): void {
    let call: Call;
    try {
      call = parseCall(message);
    } catch (error) {
      this.failCall(
        { message, chain: null, name: MALFORMED, args: [], isQuiet: false, cancelReason: undefined },
        error,
      );
      return;
    }
    this.calls.add(call);
    if (this.#isLoading) this.#waiting.push(call);
    else this.startCall(call);
  }

  private startCall(call: Call): void {
    // Whoever is given a context or a sender will use it, and need not have imported anything for that.
    const lacksFeatures = this.#router.hasReferences && this.#router.features === undefined;
    let target: Target | undefined;
    try {
      target = call.cancelReason === undefined ? this.#loader.lookUp(call.name) : failing(undefined);
    } catch (error) {
      target = failing(error);
    }
    if (target !== undefined && !lacksFeatures) {
      this.runCall(call, target);
      return;
    }
    this.#isLoading = true;
    const loader = this.#loader;
    const ready = lacksFeatures ? loader.load(API_PART) : Promise.resolve();
    void ready
      .then(() => target ?? loader.load(call.name))
      .catch(failing)
      .then((loaded) => {
        this.runCall(call, loaded);
        this.#isLoading = false;
        while (!this.#isLoading) {
          const next = this.#waiting.shift();
          if (next === undefined) break;
          this.startCall(next);
        }
      });
  }

  private runCall(call: Call, target: Target): void {
    void this.around(call, (refusal) => this.performCall(call, target, refusal));
  }

  private performCall(
    call: Call,
    target: Target,
    refusal: unknown = call.cancelReason,
  ): Outcome | Promise<Outcome> {
    let value: unknown;
    try {
      if (refusal !== undefined) throw refusal;
      value = target.fn.apply(target.owner, call.args);
      if (!isThenable(value)) return this.answerCall(call, value);
    } catch (error) {
      return this.failCall(call, error);
    }
    // Not Promise.resolve(): a thenable that throws, or is asked for its constructor, would throw here.
    return new Promise((resolve) => resolve(value)).then(
      (settled) => this.answerCall(call, settled),
      (error) => this.failCall(call, error),
    );
  }

  private answerCall(call: Call, value: unknown): Outcome | Promise<Outcome> {
    try {
      call.message.reply(call.isQuiet ? null : value);
    } catch (error) {
      // It cannot travel: the caller is told, the context lives on.
      const fail = (): Outcome => this.failCall(call, error);
      // Unless there is data that stands for it: src/wire/values/plain-form.ts.
      return this.#router.features
        ? fail()
        : this.#loader.load(API_PART).then(() => this.answerCall(call, value), fail);
    }
    this.calls.delete(call);
    return undefined;
  }

  private failCall(call: Call, error: unknown): CallError {
    this.calls.delete(call);
    const failure = callErrorFrom(error);
    const isQuiet = call.isQuiet || call.message.replyTo === 0;
    // That of a chain surfaces from its next call.
    if (isQuiet && call.chain === null)
      log.error(`Call of ${printFunction(call.name)} failed: ${failure.stack}`);
    call.message.reply(isQuiet ? null : failure);
    return failure;
  }
}

function refuseChained(call: Call, perform: Perform): void {
  void perform(call.chain === null ? undefined : new MitogenError("Cannot run call: its chain is not open"));
}

function failing(error: unknown): Target {
  return {
    fn() {
      throw error;
    },
    owner: undefined,
  };
}

function parseCall(message: Message): Call {
  const [chain, module, path, args, isQuiet] = message.decode() as [number, string, string[], [], unknown];
  if (typeof module !== "string" || !Array.isArray(path) || !Array.isArray(args)) {
    throw new ProtocolError("Cannot run call: it must be [chain, module, path, arguments]");
  }
  return {
    message,
    chain,
    name: { module, path },
    args,
    isQuiet: isQuiet === true,
    cancelReason: undefined,
  };
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return (typeof value === "object" || typeof value === "function") && value !== null && "then" in value;
}
