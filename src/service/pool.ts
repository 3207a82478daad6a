import { callErrorFrom } from "../core/call-error.ts";
import { Message } from "../core/message.ts";
import { hasParentAuthority } from "../core/policy.ts";
import type { CoreRouter } from "../core/router.ts";
import { ChannelError } from "../errors.ts";
import { getLogger } from "../logging/log.ts";
import { callback, duration, flag, limit } from "../options/option-types.ts";
import {
  checkMadeBy,
  checkRouter,
  type OptionTable,
  readList,
  readOptions,
  takeOption,
} from "../options/options.ts";
import { Slots } from "../waiting/slots.ts";
import { startTimer } from "../waiting/wait.ts";
import { joinBody } from "../wire/frame.ts";
import { Handle } from "../wire/handles.ts";
import { isCallError } from "../wire/values/error-value.ts";
import { stackOf } from "../wire/values/thrown.ts";
import { Admission } from "./admission.ts";
import { methodFor } from "./exposed.ts";
import { Invoker } from "./invoker.ts";
import { parseRequest, refusal, type ServiceRequest } from "./request.ts";
import { type RouterServices, servicesOf } from "./router-services.ts";
import { Service } from "./service.ts";

/** A method returns this value if it answers by itself, with `message.reply()`, or not at all. */
export const NO_REPLY: unique symbol = Symbol.for("mitogen.NO_REPLY");

/** How many methods run at once by default. Most methods wait more than they compute. */
const DEFAULT_SIZE = 16;

const STOPPED = "The service pool was stopped";

/** Options of a {@link Pool}. */
export interface PoolOptions {
  /** How many methods, of all services together, may be under way at once; 16 by default. */
  readonly size?: number;
  /** True stops the router's existing pool and replaces it. False by default. */
  readonly overwrite?: boolean;
}

const POOL_OPTIONS: OptionTable<PoolOptions> = { size: limit, overwrite: flag };
const STOP_OPTIONS: OptionTable<{ timeoutMs?: number }> = { timeoutMs: duration };

interface Active {
  readonly service: Service;
  readonly invoker: Invoker;
}

/** A request that the pool has taken. */
interface Pending {
  readonly message: Message;
  /** Whether its method has begun. */
  isStarted: boolean;
  /** Whether the request was answered because the pool stopped. */
  isOver: boolean;
}

const log = getLogger("mitogen.service");

/**
 * Takes the requests for the services of one router and runs at most `size` of them at once. A context makes a pool by
 * itself for the first request from above. The program has no pool until it makes one.
 *
 * ```ts
 * const pool = new Pool(router, [new Inventory(router)]);
 * ```
 *
 * Throws a RangeError if the router has a pool, unless `overwrite` is true. The pool ends with its router, or by
 * {@link stop}.
 */
export class Pool {
  /** @internal */
  readonly router: CoreRouter;
  readonly #state: RouterServices;
  readonly #slots: Slots;
  readonly #admission: Admission = new Admission();
  readonly #active: Map<string, Active> = new Map();
  /** Services that are being loaded, by name. Each is made once, for all its requests. */
  readonly #starting: Map<string, Promise<Active>> = new Map();
  readonly #pending: Set<Pending> = new Set();
  #stopped: Promise<void> | undefined;
  /** Ends the wait of {@link stop}. */
  #giveUp: () => void = () => undefined;

  constructor(router: CoreRouter, services: Iterable<Service> = [], options: PoolOptions = {}) {
    checkRouter("make a pool", router);
    const given = readList("make a pool", "the services", "a list of Services", services);
    const { size = DEFAULT_SIZE, overwrite = false } = readOptions("make a pool", options, POOL_OPTIONS);
    this.router = router;
    this.#slots = new Slots(size);
    this.#state = servicesOf(router);
    const earlier = this.#state.pool;
    if (earlier?.isStopped === false) {
      if (!overwrite)
        throw new RangeError("Cannot make pool: this router has one; pass overwrite to replace it");
      void earlier.stop();
    }
    for (const service of given) this.add(service);
    router.listen((frame) => this.accept(new Message(router, ownBody(frame))), {
      handle: Handle.CALL_SERVICE,
      isService: true,
      // In a child, another handler takes the requests until there is a pool.
      overwrite: router.parentIds.length > 0,
    });
    this.#state.pool = this;
  }

  /** @internal */
  get isStopped(): boolean {
    return this.#stopped !== undefined;
  }

  /** Returns a line for diagnostics: unanswered requests, methods that run or wait, and the active services. */
  toString(): string {
    const { running, waiting } = this.#slots.load;
    const names = [...this.#active.keys()].join(", ") || "none";
    return `pool${this.isStopped ? " (stopped)" : ""}: ${this.#pending.size} requests, ${running} methods run, ${waiting} wait; active services: ${names}`;
  }

  /** Makes a service reachable by its name. Throws a RangeError if the pool has a service of that name. */
  add(service: Service): void {
    checkMadeBy(Service, "add a service", "the first argument", "a Service", service);
    const name = service.name();
    if (this.#active.has(name)) {
      throw new RangeError(`Cannot add service ${name}: the pool has one of that name`);
    }
    this.activate(name, service);
  }

  /**
   * Runs `fn` like a method, as soon as the pool has room. Resolves with its result. Rejects with its error, or with a
   * ChannelError if the pool stops before `fn` begins.
   */
  defer<T>(fn: () => T | PromiseLike<T>): Promise<T> {
    takeOption("run a function in the pool", "the first argument", fn, callback);
    return this.#slots.run(fn);
  }

  /**
   * Ends the pool. New and waiting requests are answered by dead messages. Waits for the running methods, then for the
   * `onShutdown` of each service, in the order in which they were added; after `timeoutMs` milliseconds it waits for
   * nothing more. Errors of `onShutdown` are logged. Idempotent. Throws a TypeError or RangeError for wrong options,
   * otherwise never rejects.
   */
  stop(options: { timeoutMs?: number } = {}): Promise<void> {
    const { timeoutMs } = readOptions("stop the pool", options, STOP_OPTIONS);
    this.#stopped ??= this.finish();
    if (timeoutMs === undefined) return this.#stopped;
    const timer = startTimer(timeoutMs, () => this.#giveUp());
    return this.#stopped.then(() => clearTimeout(timer));
  }

  /** The same as {@link stop}. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  /** Takes one request. @internal */
  accept(message: Message): void {
    const pending: Pending = { message, isStarted: false, isOver: false };
    if (this.isStopped) {
      this.answerStopped(pending);
      return;
    }
    try {
      this.#admission.enter(message);
    } catch (error) {
      message.reply(error);
      return;
    }
    this.#pending.add(pending);
    void this.serve(pending).then(() => {
      this.#pending.delete(pending);
      this.#admission.leave(message);
    });
  }

  private async serve(pending: Pending): Promise<void> {
    const { message } = pending;
    let what = "A service request";
    let isSilent = false;
    try {
      const request = parseRequest(message);
      const { service: name, args, method } = request;
      what = `${method} of service ${name}`;
      // No await if there is nothing to wait for: requests begin in the order in which they came.
      const { service, invoker } = this.#active.get(name) ?? (await this.start(request, message));
      const { fn, noReply } = methodFor(service, name, request, message);
      isSilent = noReply;
      const run = (): Promise<unknown> =>
        this.#slots.run(() => {
          pending.isStarted = true;
          return fn.call(service, args, message);
        });
      const value = await invoker.invoke({ method, args, message, run });
      if (!pending.isOver && !noReply && value !== NO_REPLY) message.reply(value);
    } catch (error) {
      if (!pending.isOver) this.fail(message, error, what, isSilent);
    }
  }

  private fail(message: Message, error: unknown, what: string, isSilent: boolean): void {
    const callError = callErrorFrom(error);
    const place = `${what}, asked for by context ${message.srcId}, failed`;
    if (isCallError(error) && !isSilent) log.warning(`${place}: ${callError.message}`);
    else log.error(`${place}: ${callError.stack}`);
    if (!isSilent) message.reply(callError);
  }

  /** Makes the service that a request names, if its class is known, or if the sender may run code here. */
  private start({ service: name, reference }: ServiceRequest, message: Message): Promise<Active> {
    let starting = this.#starting.get(name);
    if (starting !== undefined) return starting;
    const { known, load } = this.#state;
    const here = known.get(name);
    const isFindable = here !== undefined || (load !== undefined && reference !== undefined);
    if (!isFindable || !hasParentAuthority(message)) {
      const why = isFindable
        ? "only a context above may start it"
        : "add it to a Pool there, or call it by its class from a context above";
      throw refusal(
        "ERR_SERVICE_INACTIVE",
        `Cannot call service ${name} in context ${this.router.contextId}: it is not active; ${why}`,
      );
    }
    starting = (async () => {
      const type = here ?? (await load?.(reference as never));
      if (this.isStopped) throw new ChannelError(STOPPED);
      return this.#active.get(name) ?? this.activateClass(name, type);
    })();
    this.#starting.set(name, starting);
    const forget = () => this.#starting.delete(name);
    starting.then(forget, forget);
    return starting;
  }

  private activateClass(name: string, type: unknown): Active {
    if (typeof type !== "function" || !(type.prototype instanceof Service)) {
      throw refusal("ERR_SERVICE_INACTIVE", `Cannot start service ${name}: it is not a subclass of Service`);
    }
    // Another module may export the same class, and the class may be active under the name of that module.
    const active = [...this.#active.values()].find(({ service }) => service.constructor === type);
    if (active === undefined) {
      log.debug(`Starting service ${name}`);
      return this.activate(name, new (type as new (router: CoreRouter) => Service)(this.router));
    }
    this.#active.set(name, active);
    return active;
  }

  private activate(name: string, service: Service): Active {
    const { invoker: Type = Invoker } = service.constructor as typeof Service;
    const active = { service, invoker: new Type() };
    this.#active.set(name, active);
    return active;
  }

  private async finish(): Promise<void> {
    const { broker } = this.router;
    broker.hold();
    const gaveUp = new Promise<void>((resolve) => {
      this.#giveUp = resolve;
    });
    this.router.unlisten(Handle.CALL_SERVICE);
    for (const pending of this.#pending) if (!pending.isStarted) this.answerStopped(pending);
    await Promise.race([this.#slots.close(STOPPED), gaveUp]);
    for (const service of new Set([...this.#active.values()].map((active) => active.service))) {
      await Promise.race([shutDown(service), gaveUp]);
    }
    broker.release();
  }

  private answerStopped(pending: Pending): void {
    pending.isOver = true;
    this.router.answerDead(
      pending.message,
      `Cannot deliver message to handle ${Handle.CALL_SERVICE} of context ${this.router.contextId}: the pool was stopped`,
    );
  }
}

/**
 * A small body is a view of all bytes that were read at once. A waiting request must not keep the rest alive,
 * so the body is copied.
 */
function ownBody<F extends ConstructorParameters<typeof Message>[1]>(frame: F): F {
  const isPart = frame.body.some(({ length, buffer }) => length < buffer.byteLength / 2);
  return isPart ? { ...frame, body: [Uint8Array.from(joinBody(frame))] } : frame;
}

async function shutDown(service: Service): Promise<void> {
  try {
    await service.onShutdown();
  } catch (error) {
    log.error(`onShutdown of a service failed: ${stackOf(error)}`);
  }
}
