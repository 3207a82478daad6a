import type { Command } from "../../commands/command.ts";
import type { RunResult } from "../../commands/command-run.ts";
import { ChannelError } from "../../errors.ts";
import type { Host } from "../../fleet/config/host.ts";
import { asError } from "../../fleet/engine/connections.ts";
import type { Facts } from "../../fleet/engine/facts.ts";
import type { WorkResult, WorkTools } from "../../fleet/engine/host-run.ts";
import { orAbort } from "../../fleet/engine/retry.ts";
import { FLEET_RUN_OPTIONS, type FleetExecOptions, type FleetRunOptions } from "../../fleet/fleet-options.ts";
import { FleetRun } from "../../fleet/fleet-run.ts";
import { receivedError } from "../../fleet/received.ts";
import { FunctionRef } from "../../functions/callable.ts";
import { readOptions } from "../../options/options.ts";
import type { UnixConnection } from "../../unix/unix-client.ts";
import { monotonicMs } from "../../waiting/monotonic.ts";
import type { TransferResult, TransferSpec } from "../transfers/transfer-work.ts";
import { hostKey } from "./kept-host.ts";
import type { Become, KeptLimits, KeptMessage, KeptWork, Wanted } from "./kept-messages.ts";
import type { Runs } from "./runs.ts";
import { connectKeeper, KEEPER_URL } from "./start-keeper.ts";

const PREPARE: FunctionRef<readonly [wanted: readonly Wanted[]], Promise<string[]>> = new FunctionRef(
  KEEPER_URL,
  ["prepare"],
);
const WORK: FunctionRef<
  readonly [wanted: Wanted, what: KeptWork, limits: KeptLimits, become?: Become],
  AsyncGenerator<KeptMessage, void, undefined>
> = new FunctionRef(KEEPER_URL, ["work"]);

/** How long it may take to find out which hosts are kept, and which files have changed. */
const PREPARE_MS = 30_000;

/** The hosts of a command, on connections that `mitogen up` keeps. */
export class KeptFleet implements Runs {
  readonly hosts: readonly Host[];
  readonly #keeper: UnixConnection;
  readonly #onLost: (lines: number) => void;
  #become: Become | undefined;

  private constructor(hosts: readonly Host[], keeper: UnixConnection, onLost: (lines: number) => void) {
    this.hosts = hosts;
    this.#keeper = keeper;
    this.#onLost = onLost;
  }

  /**
   * Returns a fleet of these hosts if `mitogen up` keeps all of them, reached in the same way. Otherwise returns the
   * reason, if there are kept connections that the user may have expected to use. `onLost` is called with the number of
   * lines of a host's functions that were lost.
   */
  static async open(
    hosts: readonly Host[],
    socket: string,
    signal: AbortSignal,
    onLost: (lines: number) => void,
  ): Promise<KeptFleet | string | undefined> {
    const keeper = await connectKeeper(socket, signal);
    if (keeper === undefined) return undefined;
    let refusal: string | undefined = "another installation of mitogen keeps connections";
    try {
      if (keeper.isOwn) {
        const bounded = keeper.context.with({ signal, timeoutMs: PREPARE_MS });
        const { length } = await bounded.call(PREPARE, hosts.map(wantedOf));
        if (length === 0) return new KeptFleet(hosts, keeper, onLost);
        const kept = hosts.length - length;
        refusal = kept > 0 ? `"mitogen up" keeps ${kept} of these ${hosts.length} hosts` : undefined;
      }
    } catch (error) {
      await keeper.router.shutdown();
      throw error;
    }
    await keeper.router.shutdown();
    return refusal;
  }

  /** From now on, work runs as another user, in a context behind the kept connection of each host. */
  become(become: Become): void {
    this.#become = become;
  }

  run({ module, path }: FunctionRef, args: readonly unknown[], options: FleetRunOptions): FleetRun<unknown> {
    return this.#begin(["call", module, path, args], options);
  }

  exec(
    command: Command,
    { cwd, env, shell, user, check, maxOutputBytes, ...options }: FleetExecOptions,
  ): FleetRun<RunResult> {
    const given = Object.entries({ cwd, env, shell, user, check, maxOutputBytes }).filter(
      ([, value]) => value !== undefined,
    );
    return this.#begin(["exec", command, Object.fromEntries(given)], options);
  }

  ping(options: FleetRunOptions): FleetRun<number> {
    return this.#begin(["ping"], options);
  }

  facts(options: FleetRunOptions): FleetRun<Facts> {
    return this.#begin(["facts"], options);
  }

  transfer(spec: TransferSpec, options: FleetRunOptions): FleetRun<TransferResult> {
    return this.#begin(["transfer", spec], options);
  }

  /** Releases the connections, which stay open. */
  async close(): Promise<void> {
    await this.#keeper.router.shutdown();
  }

  #begin<T>(work: KeptWork, options: FleetRunOptions): FleetRun<T> {
    const { timeoutMs, retries } = options;
    const limits = {
      ...(timeoutMs !== undefined && { timeoutMs }),
      ...(retries !== undefined && { retries }),
    };
    const members = this.hosts.map((host) => ({
      name: host.name,
      reachable: async () => undefined,
      work: (givenUp: AbortSignal, emit: WorkTools["emit"]) =>
        this.#work<T>(wantedOf(host), work, limits, givenUp, emit),
      // It comes with the events of the work.
      listen: () => () => undefined,
    }));
    return new FleetRun<T>(
      members,
      readOptions("run on kept connections", options, FLEET_RUN_OPTIONS as never),
    );
  }

  async #work<T>(
    wanted: Wanted,
    work: KeptWork,
    limits: KeptLimits,
    givenUp: AbortSignal,
    emit: WorkTools["emit"],
  ): Promise<WorkResult<T>> {
    const { name: host } = wanted;
    const start = monotonicMs();
    const ended = (status: "unreachable" | "skipped", error: unknown): WorkResult<T> => ({
      ...{ host, status, error: asError(error), durationMs: monotonicMs() - start },
    });
    // Not `return()`, which would wait for the next message.
    const messages = this.#keeper.context
      .with({ signal: givenUp })
      .stream(WORK, wanted, work, limits, this.#become);
    try {
      for await (const message of messages) {
        if (message.type === "event") await orAbort(Promise.resolve(emit(message.event)), givenUp);
        else if (message.type === "lost") this.#onLost(message.lines);
        else {
          const { error, ...result } = message.result;
          return {
            ...result,
            ...(error !== undefined && { error: receivedError(error, host) }),
          } as WorkResult<T>;
        }
      }
      return givenUp.aborted ? ended("skipped", givenUp.reason.reason) : ended("unreachable", gone());
    } catch (error) {
      return givenUp.aborted ? ended("skipped", givenUp.reason.reason) : ended("unreachable", error);
    }
  }
}

function wantedOf(host: Host): Wanted {
  return { name: host.name, key: hostKey(host) };
}

const gone = (): ChannelError =>
  new ChannelError("The process of mitogen up has ended; run mitogen up again");
