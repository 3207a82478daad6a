import { type Command, parseCommand } from "../commands/command.ts";
import type { RunResult } from "../commands/command-run.ts";
import { run } from "../commands/run.ts";
import type { ConnectingRouter } from "../connection/connecting-router.ts";
import type { Router } from "../connection/router.ts";
import { Context } from "../core/context.ts";
import { CancelledError } from "../errors.ts";
import type { Callable } from "../functions/callable.ts";
import { type AnyFunction, type ArgumentsOf, type ResultOf } from "../functions/overloads.ts";
import { callback, instanceOf } from "../options/option-types.ts";
import { checkRouter, type OptionTable, readList, readOptions, takeOption } from "../options/options.ts";
import { onAbort } from "../waiting/wait.ts";
import type { Host } from "./config/host.ts";
import { Connections, HostConnection } from "./engine/connections.ts";
import type { Facts } from "./engine/facts.ts";
import { runOnHost, type Work, type WorkTools } from "./engine/host-run.ts";
import { callWork, execWork, factsWork, pingWork } from "./engine/works.ts";
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
import { FleetOutput } from "./host-output.ts";

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
 * Hosts that are connected, and worked on together: docs/fleet.md. Made by {@link Fleet.connect}. Ends its contexts when it is closed.
 *
 * ```ts
 * await using fleet = await Fleet.connect(router, inventory.select("@web"));
 * for await (const { host, status, value } of fleet.run(restart, ["nginx"])) console.log(host, status, value);
 * ```
 */
export class Fleet {
  /** The hosts, in the order given. */
  readonly hosts: readonly Host[];
  /** Resolves when every connect has ended, in any way. Never rejects. */
  readonly ready: Promise<void>;
  readonly #connections: Connections;
  readonly #members: ReadonlyMap<string, HostConnection>;
  readonly #output: FleetOutput;
  readonly #unwatch: () => void;
  #closed: Promise<void> | undefined;

  private constructor(router: ConnectingRouter, hosts: readonly Host[], options: FleetOptions) {
    const { concurrency = DEFAULT_CONCURRENCY, retries = 0, timeoutMs, provision, signal, onEvent } = options;
    this.hosts = hosts;
    // Before the first connect, because a context learns then whether what it prints is wanted.
    this.#output = new FleetOutput();
    const { connect } = options;
    this.#connections = new Connections(router, {
      concurrency,
      timeoutMs,
      retries,
      provision,
      existing: connect && ((host) => existingContext(connect, host)),
      onConnecting: ({ name }) => emitEvent(onEvent, { type: "connecting", host: name }),
      onConnected: ({ name }, context, durationMs) => {
        this.#output.note(context.contextId, name);
        context.onDisconnect(() => this.#output.forget(context.contextId));
        emitEvent(onEvent, { type: "connected", host: name, durationMs });
      },
    });
    this.#unwatch =
      signal === undefined ? () => undefined : onAbort(signal, () => this.#connections.cancel(signal.reason));
    this.#members = new Map(hosts.map((host) => [host.name, new HostConnection(this.#connections, host)]));
    this.ready = Promise.all([...this.#members.values()].map(({ settled }) => settled)).then(() => undefined);
  }

  /**
   * Connects hosts through the router. Resolves as soon as the connects have begun: a host that is slow or dead delays nobody, and each run
   * waits for it as long as its connect takes. Hosts whose first steps are the same share the contexts of these steps. Throws a TypeError or RangeError
   * for wrong options or hosts.
   */
  static async connect(
    router: Router,
    hosts: Iterable<Host> | PromiseLike<Iterable<Host>>,
    options: FleetOptions = {},
  ): Promise<Fleet> {
    checkRouter(CONNECT, router);
    const taken = readOptions(CONNECT, options, FLEET_OPTIONS);
    return new Fleet(router, readHosts(CONNECT, "the hosts", await hosts), taken);
  }

  /** The hosts that cannot be reached, with the reason: their connect failed, or they were lost since. */
  get unreachable(): ReadonlyMap<string, Error> {
    const found = new Map<string, Error>();
    for (const [name, { failure }] of this.#members) if (failure !== undefined) found.set(name, failure);
    return found;
  }

  /** The context of a host, if it is connected. Undefined for unknown names, too. */
  context(name: string): Context | undefined {
    return this.#members.get(name)?.context;
  }

  /**
   * Calls a function on every host. It must be one that `Context.call` takes. The run begins when it is iterated. Throws a TypeError or RangeError for
   * wrong arguments and options.
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
    return this.#run(callWork(fn as never, list), readOptions(what, options, FLEET_RUN_OPTIONS as never));
  }

  /**
   * Runs a command on every host, like `run()`. A command that fails has the status `failed`, with a CommandError. Its output comes as `output`
   * events as well; of each stream the last 1 MiB is kept, or `maxOutputBytes`.
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
    return this.#run(execWork(run, command, commandOptions), taken);
  }

  /** Gathers facts of every host, with one call for each: system, memory, load, user. */
  facts(options: FleetRunOptions = {}): FleetRun<Facts> {
    return this.#run(factsWork, readOptions("gather facts", options, FLEET_RUN_OPTIONS as never));
  }

  /** Measures how long a message takes to every host and back, in milliseconds. */
  ping(options: FleetRunOptions = {}): FleetRun<number> {
    return this.#run(pingWork, readOptions("ping a fleet", options, FLEET_RUN_OPTIONS as never));
  }

  /**
   * Calls a function of the program with every host and its context: for transfers, or several calls. `tools.signal` aborts when the time
   * of the host is up or the run is given up; the function is not waited for then. `tools.emit` reports output and progress.
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
    const each: Work<T> = async (context, host, tools) => await work(context, host, tools);
    return this.#run(each, readOptions(what, options, FLEET_RUN_OPTIONS as never));
  }

  /** Ends the contexts that the fleet has started, hung ones included, all at the same time. Connects that still run are given up. Never rejects. */
  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  /** The same as {@link close}. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #close(): Promise<void> {
    this.#unwatch();
    await this.#connections.close(new CancelledError("Cannot connect: the fleet has been closed"));
    await this.ready;
    this.#output.close();
  }

  #run<T>(work: Work<T>, options: TakenRunOptions): FleetRun<T> {
    const { timeoutMs, retries = 0, repeatable = false } = options;
    const members = [...this.#members.values()].map((member) => ({
      name: member.host.name,
      reachable: async () => {
        await member.settled;
        // A host that was lost is connected again if its work may be repeated.
        return repeatable && member.wasConnected ? undefined : member.failure;
      },
      work: (givenUp: AbortSignal, emit: Parameters<Work<T>>[2]["emit"]) =>
        runOnHost(member, work, { timeoutMs, retries, repeatable }, givenUp, emit),
      listen: (listener: Parameters<FleetOutput["listen"]>[1]) =>
        this.#output.listen(member.host.name, listener),
    }));
    return new FleetRun(members, options);
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
