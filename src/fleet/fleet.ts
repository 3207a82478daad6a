import { nameOf } from "../calls/caller/call-request.ts";
import { type Command, parseCommand } from "../commands/command.ts";
import type { RunResult } from "../commands/command-run.ts";
import { run } from "../commands/run.ts";
import type { Router } from "../connection/router.ts";
import { Context } from "../core/context.ts";
import { CancelledError } from "../errors.ts";
import type { Callable } from "../functions/callable.ts";
import { type AnyFunction, type ArgumentsOf, type ResultOf } from "../functions/overloads.ts";
import { callback, instanceOf } from "../options/option-types.ts";
import {
  checkRouter,
  misuse,
  type OptionTable,
  readList,
  readOptions,
  takeOption,
} from "../options/options.ts";
import { newAbortEnd } from "../waiting/abort-end.ts";
import { onAbort } from "../waiting/wait.ts";
import { read } from "../wire/values/thrown.ts";
import type { Host } from "./config/host.ts";
import { Connections, HostConnection } from "./engine/connections.ts";
import type { Facts } from "./engine/facts.ts";
import type { Work, WorkTools } from "./engine/host-run.ts";
import { callWork, execWork, factsWork, pingWork, withLastLines } from "./engine/works.ts";
import {
  COMMAND_OPTIONS,
  FLEET_OPTIONS,
  FLEET_RUN_OPTIONS,
  type FleetExecOptions,
  type FleetOptions,
  type FleetRunOptions,
  readHosts,
  type TakenRunOptions,
} from "./fleet-options.ts";
import { emitEvent, FleetRun } from "./fleet-run.ts";
import { HopLink } from "./hop-link.ts";
import { FleetOutput } from "./host-output.ts";
import { type FleetMember, type Job, ownMember } from "./job.ts";

const CONNECT = "connect a fleet";
const DEFAULT_CONCURRENCY = 32;
/** How much output of a command is kept for each host and stream, by default. */
const MAX_OUTPUT_BYTES = 1024 * 1024;
const EXEC_OPTIONS: OptionTable<TakenRunOptions & typeof COMMAND_OPTIONS> = {
  ...FLEET_RUN_OPTIONS,
  ...COMMAND_OPTIONS,
} as never;
const CONTEXT = instanceOf(Context, "a Context, or undefined");

/** A function as `fleet.run` takes it. */
type AnyCallable = Callable<readonly unknown[], unknown>;

/**
 * Hosts that are connected and worked on together: docs/fleet.md. Made by {@link Fleet.connect}. `close` ends the
 * contexts that the fleet has started.
 *
 * ```ts
 * await using fleet = await Fleet.connect(router, inventory.select("@web"));
 * for await (const { host, status, value } of fleet.run(restart, ["nginx"])) console.log(host, status, value);
 * ```
 */
export class Fleet {
  /** The hosts, in the order given. */
  readonly hosts: readonly Host[];
  /** Resolves when every connect has succeeded or failed. Never rejects. */
  readonly ready: Promise<void>;
  readonly #router: Router;
  readonly #connections: Connections;
  /** Of hops. */
  readonly #hopConnections: Connections;
  readonly #hops: readonly HopLink[];
  readonly #members: ReadonlyMap<string, FleetMember>;
  readonly #output: FleetOutput;
  readonly #unwatch: () => void;
  #closed: Promise<void> | undefined;

  private constructor(router: Router, hosts: readonly Host[], hops: readonly Host[], options: FleetOptions) {
    const {
      concurrency = DEFAULT_CONCURRENCY,
      retries = 0,
      timeoutMs,
      provision,
      signal,
      onEvent,
      connect,
    } = options;
    this.hosts = hosts;
    this.#router = router;
    // Before the first connect, because a context learns then whether what it prints is wanted.
    this.#output = new FleetOutput();
    const onConnecting = (host: string): void => void emitEvent(onEvent, { type: "connecting", host });
    const onConnected = (host: string, context: Context, durationMs: number): void => {
      this.#output.note(context, host);
      void emitEvent(onEvent, { type: "connected", host, durationMs });
    };
    const limits = { concurrency, timeoutMs, retries, provision };
    const existing = connect && ((host: Host) => existingContext(connect, host));
    this.#connections = new Connections(router, {
      ...limits,
      existing,
      onConnecting: ({ name }) => onConnecting(name),
      onConnected: ({ name }, context, durationMs) => onConnected(name, context, durationMs),
    });
    const silent = { onConnecting: () => undefined, onConnected: () => undefined };
    this.#hopConnections = new Connections(router, { ...limits, existing, ...silent });
    this.#hops = hops.map((hop, index) => {
      const share = hosts.filter((_, i) => i % hops.length === index);
      return new HopLink(router, new HostConnection(this.#hopConnections, hop), share, limits, {
        onConnecting,
        onConnected,
      });
    });
    const members: FleetMember[] =
      hops.length === 0
        ? hosts.map((host) => ownMember(new HostConnection(this.#connections, host)))
        : this.#hops.flatMap((hop) => hop.members);
    const byName = new Map(members.map((member) => [member.host.name, member]));
    this.#members = new Map(hosts.map(({ name }) => [name, byName.get(name) as FleetMember]));
    this.#unwatch =
      signal === undefined ? () => undefined : onAbort(signal, () => this.#cancel(signal.reason));
    this.ready = Promise.all(members.map(({ settled }) => settled)).then(() => undefined);
  }

  /**
   * Connects hosts through the router. Resolves as soon as the connects have begun, so a slow or dead host does not
   * delay the others. Each run waits for a host as long as its connect takes. Hosts whose first steps are the same
   * share the contexts of these steps. Rejects with a TypeError or RangeError for wrong options or hosts.
   */
  static async connect(
    router: Router,
    hosts: Iterable<Host> | PromiseLike<Iterable<Host>>,
    options: FleetOptions = {},
  ): Promise<Fleet> {
    // Taken before anything else can fail: a rejection that nobody takes ends the program.
    const lists = Promise.all([hosts, read(Object(options), "through") as FleetOptions["through"]]);
    lists.catch(() => undefined);
    checkRouter(CONNECT, router);
    const taken = readOptions(CONNECT, options, FLEET_OPTIONS);
    const [given, through] = await lists;
    const hops = through === undefined ? undefined : readHosts(CONNECT, "through", through);
    if (hops?.length === 0) {
      throw misuse(
        "ERR_OUT_OF_RANGE",
        `Cannot ${CONNECT}: through must be a list of 1 or more hosts, got an empty list`,
      );
    }
    return new Fleet(router, readHosts(CONNECT, "the hosts", given), hops ?? [], taken);
  }

  /** The hosts that cannot be reached, by name, with the reason: their connect failed, or they were lost later. */
  get unreachable(): ReadonlyMap<string, Error> {
    const found = new Map<string, Error>();
    for (const [name, { failure }] of this.#members) if (failure !== undefined) found.set(name, failure);
    return found;
  }

  /** Returns the context of a host. Undefined if the host is not connected, or the name is unknown. */
  context(name: string): Context | undefined {
    return this.#members.get(name)?.context;
  }

  /**
   * Connects a host again whose context has gone. Resolves when that has succeeded or failed, or takes too long.
   *
   * @internal
   */
  async reconnect(name: string, timeoutMs: number): Promise<void> {
    const limits = { timeoutMs, retries: 0, repeatable: true };
    await this.#members.get(name)?.work({ work: pingWork, limits }, newAbortEnd().signal, () => undefined);
  }

  /**
   * Calls a function on every host: any function that `Context.call` takes. The run begins when it is iterated. Throws
   * a TypeError or RangeError for wrong arguments and options.
   */
  run<F extends AnyFunction, const A extends ArgumentsOf<F>>(
    fn: F,
    args: A,
    options?: FleetRunOptions,
  ): FleetRun<Awaited<ResultOf<F, A>>>;
  run<R>(fn: Callable<[], R>): FleetRun<Awaited<R>>;
  run<A extends readonly unknown[], R>(
    fn: Callable<A, R>,
    args: A,
    options?: FleetRunOptions,
  ): FleetRun<Awaited<R>>;
  run(fn: AnyCallable, args: readonly unknown[] = [], options: FleetRunOptions = {}): FleetRun<unknown> {
    const what = "run a function on a fleet";
    const list = readList<unknown>(what, "the arguments", "a list", args);
    const request = (): ReturnType<NonNullable<Job<unknown>["request"]>> => {
      const name = nameOf(this.#router.myself(), fn);
      return { request: ["call", name.module, name.path, list], fn: name };
    };
    return this.#run(
      callWork(fn as never, list),
      request,
      readOptions(what, options, FLEET_RUN_OPTIONS as never),
    );
  }

  /**
   * Runs a command on every host, like `run()`. A host whose command fails has the status `failed`, with a
   * CommandError. Output also comes as `output` events. The result keeps the last 1 MiB of each stream, or the last
   * `maxOutputBytes`.
   */
  exec(command: Command, options: FleetExecOptions = {}): FleetRun<RunResult> {
    const taken = readOptions("run a command on a fleet", options, EXEC_OPTIONS as never) as TakenRunOptions &
      FleetExecOptions;
    const {
      cwd,
      env,
      shell,
      user,
      check,
      maxOutputBytes = MAX_OUTPUT_BYTES,
      stripFinalNewline,
      input,
    } = taken;
    parseCommand(command, shell);
    const commandOptions = { cwd, env, shell, user, check, maxOutputBytes, stripFinalNewline, input };
    const request = () => ({ request: ["exec", command, commandOptions] as const });
    return this.#run(execWork(run, command, commandOptions), request, taken);
  }

  /** Gathers facts of every host, with one call for each: system, memory, load, user. */
  facts(options: FleetRunOptions = {}): FleetRun<Facts> {
    return this.#run(
      factsWork,
      () => ({ request: ["facts"] }),
      readOptions("gather facts", options, FLEET_RUN_OPTIONS as never),
    );
  }

  /** Measures how many milliseconds a message takes to every host and back. */
  ping(options: FleetRunOptions = {}): FleetRun<number> {
    return this.#run(
      pingWork,
      () => ({ request: ["ping"] }),
      readOptions("ping a fleet", options, FLEET_RUN_OPTIONS as never),
    );
  }

  /**
   * Runs a function in the program for every host, with the host and its context: for transfers, or several calls.
   * `tools.signal` aborts when the time of the host is up or the run is given up; the run then no longer waits for the
   * function. `tools.emit` reports output and progress.
   *
   * ```ts
   * const results = await fleet.each((context) => putFile(context, "motd", "/etc/motd")).all();
   * ```
   */
  each<T>(
    work: (context: Context, host: Host, tools: WorkTools) => Promise<T> | T,
    options: FleetRunOptions = {},
  ): FleetRun<T> {
    const what = "work on each host of a fleet";
    takeOption(what, "the first argument", work, callback);
    return this.#run(
      withLastLines(async (context, host, tools) => await work(context, host, tools)),
      undefined,
      readOptions(what, options, FLEET_RUN_OPTIONS as never),
    );
  }

  /**
   * Ends the contexts that the fleet has started, even hung ones, and gives up connects that still run. Never rejects.
   */
  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  /** The same as {@link close}. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #cancel(reason: unknown): void {
    this.#connections.cancel(reason);
    this.#hopConnections.cancel(reason);
    for (const hop of this.#hops) hop.cancel(reason);
  }

  async #close(): Promise<void> {
    this.#unwatch();
    const reason = new CancelledError("Cannot connect: the fleet has been closed");
    this.#cancel(reason);
    await Promise.all(this.#hops.map((hop) => hop.close()));
    await Promise.all([this.#connections.close(reason), this.#hopConnections.close(reason)]);
    await this.ready;
    this.#output.close();
  }

  #run<T>(work: Work<T>, request: Job<T>["request"], options: TakenRunOptions): FleetRun<T> {
    const { timeoutMs, retries = 0, repeatable = false, concurrency } = options;
    const job: Job<T> = {
      work,
      limits: { timeoutMs, retries, repeatable },
      ...(request !== undefined && { request }),
    };
    const members = [...this.#members.values()].map((member) => ({
      name: member.host.name,
      reachable: async () => {
        await member.settled;
        // A host that was lost is connected again if its work may be repeated.
        return repeatable && member.wasConnected ? undefined : member.failure;
      },
      work: (givenUp: AbortSignal, emit: WorkTools["emit"]) => member.work(job, givenUp, emit),
      listen: (listener: Parameters<FleetOutput["listen"]>[1]) =>
        this.#output.listen(member.host.name, listener),
    }));
    const all = {
      ...options,
      concurrency: concurrency ?? DEFAULT_CONCURRENCY * Math.max(1, this.#hops.length),
    };
    return new FleetRun(members, all, () => {
      for (const hop of this.#hops) hop.forget(job as Job<unknown>);
    });
  }
}

async function existingContext(
  connect: NonNullable<FleetOptions["connect"]>,
  host: Host,
): Promise<Context | undefined> {
  const context = await connect(host);
  return context === undefined
    ? undefined
    : takeOption(CONNECT, "what its connect() returned", context, CONTEXT);
}
