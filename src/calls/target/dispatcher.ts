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

/** A call that has arrived and has not ended. */
export interface Call {
  readonly message: Message;
  /** The caller's chain to which it belongs, or null. */
  readonly chain: number | null;
  readonly name: FunctionName;
  readonly args: unknown[];
  /** Whether its caller only wants to know that it has ended. Its failure is logged here. */
  readonly isQuiet: boolean;
  /** The reason with which its caller gave it up. */
  cancelReason: unknown;
}

/** The failure that was sent as the reply, if there was one. */
export type Outcome = CallError | undefined;

/**
 * Runs a call and replies. A `refusal` becomes the reply, and the call does not run. Never throws or rejects.
 */
export type Perform = (refusal?: unknown) => Outcome | Promise<Outcome>;

interface Target {
  readonly fn: AnyFunction;
  /** The function's `this`. */
  readonly owner: unknown;
}

/** Finds the functions that calls name. */
export interface FunctionLoader {
  /**
   * Returns the function, if that needs no waiting. Throws a TypeError if there is no function of that name.
   */
  lookUp(name: FunctionName): Target | undefined;
  /**
   * Evaluates the module and returns the function. Rejects with the error of the evaluation, and with a
   * TypeError.
   */
  load(name: FunctionName): Promise<Target>;
  /**
   * Returns the exports of a module. Boxed, because a module that exports `then` would be taken for a
   * promise.
   */
  evaluate(id: string): Promise<{ value: unknown }>;
}

const log = getLogger("mitogen.calls");
/** A library part, named by one of its exports. */
const API_PART: FunctionName = { module: API, path: ["econtext"] };
const MALFORMED: FunctionName = { module: "a malformed message", path: ["?"] };

/**
 * Runs the functions that other contexts call. Calls start in the order in which they arrived. A call whose
 * modules are being evaluated delays those after it; a call that has started does not.
 */
export class Dispatcher {
  /**
   * Decides when a call runs, and what runs around it. The part `mitogen:api` adds chains and `currentCall()`
   * here.
   */
  around: (call: Call, perform: Perform) => unknown = refuseChained;
  /** Called for calls that their callers gave up. */
  onCancelled: ((call: Call) => void) | undefined;
  readonly calls: Set<Call> = new Set();
  readonly #loader: FunctionLoader;
  readonly #waiting: Call[] = [];
  readonly #router: CoreRouter;
  #isLoading = false;

  constructor(router: CoreRouter, loader: FunctionLoader) {
    this.#router = router;
    this.#loader = loader;
    // Running code requires authority: siblings, and children of this context, have none.
    const options = { policy: hasParentAuthority, service: true };
    router.addHandler((message) => this.receiveCall(message), { handle: Handle.CALL_FUNCTION, ...options });
    router.addHandler(
      (message) => {
        const [replyTo, reason] = message.decode() as [number, unknown];
        // srcId has been verified: only its caller can end a call, not even another context above.
        this.cancel(
          (call) => call.message.srcId === message.srcId && call.message.replyTo === replyTo,
          reason,
        );
      },
      { handle: Handle.CANCEL_CALL, ...options },
    );
  }

  /** Gives calls up: those that have not started never run, and the others may notice. */
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
    // A function that is given a context or a sender will use it, even if it has imported nothing for that.
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
    // Not Promise.resolve(), which would throw here for a thenable that throws, or that throws when asked for
    // its constructor.
    return new Promise((resolve) => resolve(value)).then(
      (settled) => this.answerCall(call, settled),
      (error) => this.failCall(call, error),
    );
  }

  private answerCall(call: Call, value: unknown): Outcome | Promise<Outcome> {
    try {
      call.message.reply(call.isQuiet ? null : value);
    } catch (error) {
      // The value cannot travel. The caller is told, and the context lives on.
      const fail = (): Outcome => this.failCall(call, error);
      // Some values are sent as plain data instead: src/wire/values/plain-form.ts.
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
    // A failure in a chain surfaces in its next call.
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
