import type { ConnectingRouter } from "../../connection/connecting-router.ts";
import type { Provision } from "../../connection/methods/method.ts";
import type { Context } from "../../core/context.ts";
import { ChannelError, MitogenError } from "../../errors.ts";
import { getLogger } from "../../logging/log.ts";
import { newAbortEnd } from "../../waiting/abort-end.ts";
import { monotonicMs } from "../../waiting/monotonic.ts";
import { Slots } from "../../waiting/slots.ts";
import { headOf } from "../../wire/values/thrown.ts";
import type { Host, Step, StepMethod } from "../config/host.ts";
import { isConnectWorthRetry, orAbort, pauseBeforeRetry } from "./retry.ts";
import { StepKeys } from "./step-key.ts";

/** How the hosts of a fleet are connected. */
export interface ConnectPlan {
  /** How many connects run at once. */
  readonly concurrency: number;
  /** The time limit of each connect that has none of its own. */
  readonly timeoutMs?: number | undefined;
  /** How often a failed connect is tried again. */
  readonly retries: number;
  /** What to do for targets without node, unless a step says otherwise. */
  readonly provision?: Provision | undefined;
  /** Returns a context that is there already, which this fleet does not own. */
  readonly existing?: ((host: Host) => Promise<Context | undefined>) | undefined;
  /** Called when a connect begins. */
  readonly onConnecting: (host: Host) => void;
  /** Called as a step of a host begins, and while a runtime is on its way. */
  readonly onStep?: (() => void) | undefined;
  /** Called with every new context of a host. */
  readonly onConnected: (host: Host, context: Context, durationMs: number) => void;
}

/** How many connects to one address of one sshd run at once. `MaxStartups` refuses some from 10 on. */
const MAX_LOGINS = 8;

const log = getLogger("mitogen.fleet");

/** The connections of a fleet: one context for each host, and one for each hop that several hosts share. */
export class Connections {
  readonly #router: ConnectingRouter;
  readonly #plan: ConnectPlan;
  readonly #slots: Slots;
  /** Logins to one sshd, by the context that starts them and the address. */
  readonly #logins: Map<string, Slots> = new Map();
  readonly #keys: StepKeys = new StepKeys();
  /** The contexts of steps before the last, by these steps. */
  readonly #shared: Map<string, Promise<Context>> = new Map();
  /** The contexts that this fleet has started and that are children of this process. */
  readonly #roots: Set<Context> = new Set();
  readonly #end = newAbortEnd();

  constructor(router: ConnectingRouter, plan: ConnectPlan) {
    this.#router = router;
    this.#plan = plan;
    this.#slots = new Slots(plan.concurrency);
  }

  /** Connects the host, with retries. Rejects with the last error, or with the reason of {@link close}. */
  async connect(host: Host): Promise<Context> {
    const { retries, existing, onConnecting, onConnected } = this.#plan;
    const { signal } = this.#end;
    onConnecting(host);
    const start = monotonicMs();
    for (let failures = 0; ; failures++) {
      try {
        if (signal.aborted) throw signal.reason;
        const known = existing && (await orAbort(existing(host), signal));
        const context = known ?? (await this.connectOnce(host));
        onConnected(host, context, monotonicMs() - start);
        return context;
      } catch (error) {
        if (failures >= retries || signal.aborted || !isConnectWorthRetry(error)) throw error;
        log.info(`Cannot connect ${host.name}; trying again: ${headOf(error)}`);
        await pauseBeforeRetry(failures, signal);
      }
    }
  }

  /** Ends connects that run, and refuses others, with this reason. */
  cancel(reason: unknown): void {
    this.#end.abort(reason);
  }

  /** Does the same, and ends every context that was started here. */
  async close(reason: unknown): Promise<void> {
    this.cancel(reason);
    // What was started from a context ends with it.
    await Promise.all([...this.#roots].map((context) => context.shutdown()));
  }

  private async connectOnce({ steps }: Host): Promise<Context> {
    const last = steps.length - 1;
    const via = last === 0 ? undefined : await this.sharedContext(steps.slice(0, last));
    return await this.step(steps[last] as Step, via);
  }

  /** The context of these steps, which all hosts behind it use. A failed or lost one is made again. */
  private async sharedContext(steps: readonly Step[]): Promise<Context> {
    const key = this.#keys.keyOf(steps);
    const known = this.#shared.get(key);
    if (known !== undefined) {
      const context = await known;
      if (context.isConnected) return context;
      if (this.#shared.get(key) === known) this.#shared.delete(key);
      return await this.sharedContext(steps);
    }
    const connecting = this.connectOnce({ name: key, groups: [], vars: {}, steps });
    this.#shared.set(key, connecting);
    connecting.catch(() => {
      if (this.#shared.get(key) === connecting) this.#shared.delete(key);
    });
    return await connecting;
  }

  private async step(step: Step, via: Context | undefined): Promise<Context> {
    const method = methodOf(step) as StepMethod;
    const options = (step as Record<string, object>)[method] as Record<string, unknown>;
    const { timeoutMs, provision, onStep } = this.#plan;
    const all = {
      ...(onStep !== undefined && { onProgress: onStep }),
      ...(timeoutMs !== undefined && { timeoutMs }),
      ...(provision !== undefined && { provision }),
      ...options,
      ...(via !== undefined && { via }),
    };
    const start = (): Promise<Context> => this.#slots.run(() => this.start(method, all));
    if (method !== "ssh") return await start();
    // It takes its turn at the sshd first, because a connect that waits for that must not take a place from others.
    const address = `${via?.contextId ?? ""} ${String(options["hostname"])} ${String(options["port"] ?? "")}`;
    let logins = this.#logins.get(address);
    if (logins === undefined) {
      logins = new Slots(MAX_LOGINS);
      this.#logins.set(address, logins);
    }
    return await logins.run(start);
  }

  private async start(method: StepMethod, options: object): Promise<Context> {
    const { signal } = this.#end;
    if (signal.aborted) throw signal.reason;
    this.#plan.onStep?.();
    const router = this.#router as unknown as Record<string, (o: object) => Promise<Context>>;
    const connecting = router[method]?.({ ...options, signal }) as Promise<Context>;
    const context = await connecting.catch((error) => {
      throw signal.aborted ? signal.reason : error;
    });
    if (signal.aborted) {
      // It was given up while the news of its success was on the way here, and close() did not know of it.
      await context.shutdown();
      throw signal.reason;
    }
    if (context.via === undefined || context.via.contextId === this.#router.contextId) {
      this.#roots.add(context);
      context.onDisconnect(() => this.#roots.delete(context));
    }
    return context;
  }
}

/** The connection of one host: under way, there, failed or lost. */
export class HostConnection {
  readonly host: Host;
  readonly #connections: Connections;
  /** Resolves when the first connect has ended in any way. */
  readonly settled: Promise<void>;
  /** Whether it has had a context. */
  wasConnected = false;
  #context: Context | undefined;
  #failure: Error | undefined;
  #connecting: Promise<Context> | undefined;

  constructor(connections: Connections, host: Host) {
    this.host = host;
    this.#connections = connections;
    this.settled = this.connect().then(
      () => undefined,
      () => undefined,
    );
  }

  /** The host's context, if it has one that can be reached. */
  get context(): Context | undefined {
    return this.#context?.isConnected === true ? this.#context : undefined;
  }

  /** Why the host cannot be reached, once a connect has failed or its context is lost. */
  get failure(): Error | undefined {
    const lost = this.#context?.goneReason;
    if (this.#connecting !== undefined || (this.#context !== undefined && lost === undefined))
      return undefined;
    return lost === undefined ? this.#failure : new ChannelError(lost);
  }

  /** Connects it, or connects it again. Callers at the same time share a connect. */
  connect(): Promise<Context> {
    this.#connecting ??= this.connectOnce().finally(() => {
      this.#connecting = undefined;
    });
    return this.#connecting;
  }

  private async connectOnce(): Promise<Context> {
    try {
      this.#context = await this.#connections.connect(this.host);
      this.wasConnected = true;
      return this.#context;
    } catch (error) {
      this.#context = undefined;
      this.#failure = asError(error);
      throw error;
    }
  }
}

/** The connection method of a step: its only key. */
function methodOf(step: Step): string {
  return Object.keys(step)[0] as string;
}

/** A thrown value as an error. A signal's reason may be anything. */
export function asError(thrown: unknown): Error {
  return thrown instanceof Error ? thrown : new MitogenError(headOf(thrown), { cause: thrown });
}
