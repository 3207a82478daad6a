import { Router } from "../../connection/router.ts";
import type { Context } from "../../core/context.ts";
import { ChannelError, TimeoutError } from "../../errors.ts";
import { sentError } from "../../fleet/engine/host-error.ts";
import type { FleetEvent, HostResult } from "../../fleet/engine/result.ts";
import { Fleet } from "../../fleet/fleet.ts";
import type { FleetRunOptions } from "../../fleet/fleet-options.ts";
import type { FleetRun } from "../../fleet/fleet-run.ts";
import { FunctionRef } from "../../functions/callable.ts";
import { onAbort } from "../../waiting/wait.ts";
import { failureText } from "../screen/failure-text.ts";
import { transferWork } from "../transfers/transfer-work.ts";
import { Feed } from "./feed.ts";
import type { KeptHost } from "./kept-host.ts";
import type { Become, KeptLimits, KeptMessage, KeptWork, Wanted } from "./kept-messages.ts";
import { WorkEvents } from "./work-events.ts";

/** How hosts are connected: the options of `mitogen up` that matter for it. */
export interface KeepOptions {
  readonly concurrency?: number;
  readonly timeoutMs?: number;
  readonly retries?: number;
  readonly provision?: "cache" | "memory";
}

/** What `up` reports: the events of connects, and at the end the result of each host. */
export type UpEvent = FleetEvent | { readonly type: "kept"; readonly host: string; readonly error?: string };

/** How long a command waits for a host that is connected again. */
const RECONNECT_MS = 15_000;

/** A host, and the fleet that has connected it. */
class Member {
  readonly name: string;
  readonly fleet: Fleet;
  /** The context where functions run: that of the connection, or a new one behind it if sources have changed. */
  worker: Context | undefined;
  /** A new one that starts. */
  starting: Promise<Context> | undefined;
  /** How many commands work on the host. */
  uses = 0;
  /** How many of them use each context. */
  readonly usesOf: Map<Context, number> = new Map();
  /** Contexts with functions that have been given up. No further command gets them, and they end when none uses them. */
  readonly spoilt: Set<Context> = new Set();
  /** The host is connected again. */
  mending: Promise<void> | undefined;

  constructor(name: string, fleet: Fleet) {
    this.name = name;
    this.fleet = fleet;
    this.worker = this.connection;
  }

  get connection(): Context | undefined {
    return this.fleet.context(this.name);
  }

  /** Counts a command that begins (1) or ends (-1) to use a context. */
  count(context: Context, change: 1 | -1): void {
    const uses = (this.usesOf.get(context) ?? 0) + change;
    if (uses > 0) this.usesOf.set(context, uses);
    else this.usesOf.delete(context);
  }
}

/** Holds the connections of `mitogen up`, in a process of its own, and lends them to the commands of its user. */
export class Keeper {
  readonly router: Router = new Router();
  /** By name and key: another inventory may have another host of that name. */
  readonly #members: Map<string, Member> = new Map();
  readonly #fleets: Set<Fleet> = new Set();
  /** Contexts with code that has changed since. They end when no run may use them any more. */
  readonly #outdated: Set<Context> = new Set();
  #runs = 0;

  /** The names of the hosts that are connected. */
  get names(): string[] {
    return [...this.#members.values()]
      .filter(({ connection }) => connection !== undefined)
      .map(({ name }) => name);
  }

  /** Whether it keeps any host, though perhaps one whose connection is lost. */
  get hasHosts(): boolean {
    return this.#members.size > 0;
  }

  /** Connects the hosts that are not connected already in the same way. If `signal` aborts, it ends what it has begun. */
  async *up(
    hosts: readonly KeptHost[],
    options: KeepOptions,
    signal: AbortSignal,
  ): AsyncGenerator<UpEvent, void, undefined> {
    await this.mended(hosts);
    const events = new Feed<UpEvent>();
    const isNew = (host: KeptHost): boolean => this.member(host) === undefined;
    const fleet = await Fleet.connect(this.router, hosts.filter(isNew), {
      ...options,
      onEvent: (event) => events.add(event),
    });
    let isReady = false;
    void fleet.ready.then(() => {
      isReady = true;
      events.end();
    });
    const unwatch = onAbort(signal, () => events.end());
    try {
      yield* events;
    } finally {
      unwatch();
      if (!isReady || !this.keep(fleet, hosts)) await fleet.close();
    }
    for (const host of hosts) {
      // Another up may have connected it meanwhile.
      const error = this.member(host) === undefined ? fleet.unreachable.get(host.name) : undefined;
      yield { type: "kept", host: host.name, ...(error !== undefined && { error: failureText(error) }) };
    }
  }

  /**
   * Prepares hosts for the work of a command. Returns the names of those that are not kept, or that are reached in
   * another way.
   */
  async prepare(wanted: readonly Wanted[]): Promise<string[]> {
    await this.mended(wanted);
    const missing = wanted.filter((each) => this.member(each) === undefined);
    if (missing.length === 0) await this.renew();
    return missing.map(({ name }) => name);
  }

  /**
   * Does work on one host, and yields its events. `signal` gives up the work, because a generator cannot be left while
   * it waits. With `become`, sudo starts over the kept connection. Its context belongs to this work alone, and ends
   * with it.
   */
  async *work(
    wanted: Wanted,
    work: KeptWork,
    limits: KeptLimits,
    signal: AbortSignal,
    become?: Become,
  ): AsyncGenerator<KeptMessage, void, undefined> {
    const { name } = wanted;
    await this.mended([wanted]);
    const member = this.member(wanted);
    const connection = member?.connection;
    if (member === undefined || connection === undefined) {
      const error = new ChannelError(`The kept connection to ${name} was lost; mitogen up connects it again`);
      yield {
        type: "result",
        result: { host: name, status: "unreachable", durationMs: 0, error: sentError(error) },
      };
      return;
    }
    this.#runs++;
    member.uses++;
    const host = { name, groups: [], vars: {}, steps: [{ local: {} }] };
    const over = new AbortController();
    const unwatch = onAbort(signal, () => over.abort(signal.reason));
    const begun: Promise<Context>[] = [];
    const connect = (): Promise<Context> => {
      const context =
        become === undefined
          ? this.use(member, connection)
          : this.router.sudo({ ...become, via: connection, signal: over.signal });
      begun.push(context);
      return context;
    };
    const fleet = await Fleet.connect(this.router, [host], { connect });
    let ended: Promise<void> | undefined;
    try {
      const events = new WorkEvents();
      const run = begin(fleet, work, {
        ...limits,
        signal: over.signal,
        onEvent: (event) => events.add(event),
      });
      ended = run.all().then(([result]) => {
        const context = fleet.context(name);
        if (work[0] === "call" && become === undefined && context !== undefined && wasGivenUp(result)) {
          member.spoilt.add(context);
          // The function may keep it busy, and a further command would wait behind it.
          if (member.worker === context) member.worker = undefined;
        }
        events.feed.end();
      });
      yield* events.messages();
    } finally {
      unwatch();
      over.abort();
      await ended;
      await fleet.close();
      for (const each of await Promise.allSettled(begun)) {
        if (each.status === "rejected") continue;
        if (become !== undefined) await each.value.shutdown();
        else member.count(each.value, -1);
      }
      member.uses--;
      this.endSpoilt(member);
      if (--this.#runs === 0) this.endOutdated();
    }
  }

  /** Ends all connections. */
  async down(): Promise<void> {
    await Promise.all([...this.#fleets].map((fleet) => fleet.close()));
    this.#fleets.clear();
    this.#members.clear();
  }

  private member(wanted: Wanted): Member | undefined {
    const member = this.#members.get(idOf(wanted));
    return member?.connection === undefined ? undefined : member;
  }

  /** Keeps the connections of a fleet. Returns whether it has any. Closes fleets that have none left. */
  private keep(fleet: Fleet, hosts: readonly KeptHost[]): boolean {
    for (const old of this.#fleets) {
      if (old.hosts.some(({ name }) => old.context(name) !== undefined)) continue;
      if ([...this.#members.values()].some((each) => each.fleet === old && each.mending !== undefined))
        continue;
      this.#fleets.delete(old);
      void old.close();
    }
    let isUsed = false;
    for (const host of hosts) {
      const connection = fleet.context(host.name);
      if (connection === undefined) continue;
      // Another command has connected it at the same time.
      if (this.member(host) !== undefined) void connection.shutdown();
      else {
        isUsed = true;
        this.#members.set(idOf(host), new Member(host.name, fleet));
      }
    }
    if (isUsed) this.#fleets.add(fleet);
    return isUsed;
  }

  /** After a change of a source, functions run in new contexts: a module cannot be replaced under running code. */
  private async renew(): Promise<void> {
    if (!(await this.router.modules.hasChanged())) return;
    this.router.modules.invalidate();
    for (const member of this.#members.values()) {
      if (member.worker !== undefined && member.worker !== member.connection)
        this.#outdated.add(member.worker);
      member.worker = undefined;
    }
    if (this.#runs === 0) this.endOutdated();
  }

  private async use(member: Member, connection: Context): Promise<Context> {
    const context = await this.worker(member, connection);
    member.count(context, 1);
    return context;
  }

  private async worker(member: Member, connection: Context): Promise<Context> {
    if (member.worker?.isConnected === true) return member.worker;
    // Work of several commands may come at the same time.
    member.starting ??= this.router.local({ via: connection }).finally(() => {
      member.starting = undefined;
    });
    member.worker = await member.starting;
    return member.worker;
  }

  /**
   * A function that was given up may go on, or keep its context busy for ever: only with the context does it end for sure. If that
   * is the connection, it is made again.
   */
  private endSpoilt(member: Member): void {
    for (const context of member.spoilt) {
      // Others are behind the connection.
      if (context === member.connection ? member.uses > 0 : member.usesOf.has(context)) continue;
      member.spoilt.delete(context);
      if (context === member.connection) {
        member.mending = this.mend(member, context).finally(() => {
          member.mending = undefined;
        });
      } else void context.shutdown();
    }
  }

  private async mend(member: Member, connection: Context): Promise<void> {
    await connection.shutdown();
    await member.fleet.reconnect(member.name, RECONNECT_MS);
    member.worker = member.connection;
  }

  /** Waits for hosts that are connected again. */
  private async mended(wanted: readonly Wanted[]): Promise<void> {
    await Promise.all(wanted.map((each) => this.#members.get(idOf(each))?.mending));
  }

  private endOutdated(): void {
    for (const context of this.#outdated) void context.shutdown();
    this.#outdated.clear();
  }
}

/** Whether the result came before the work has ended. */
function wasGivenUp(result: HostResult | undefined): boolean {
  return result?.status === "skipped" || result?.error instanceof TimeoutError;
}

const idOf = ({ name, key }: Wanted): string => JSON.stringify([name, key]);

function begin(fleet: Fleet, work: KeptWork, options: FleetRunOptions): FleetRun<unknown> {
  switch (work[0]) {
    case "call":
      return fleet.run(new FunctionRef(work[1], work[2]), work[3], options);
    case "exec":
      return fleet.exec(work[1], { ...options, ...work[2] });
    case "ping":
      return fleet.ping(options);
    case "facts":
      return fleet.facts(options);
    case "transfer":
      return fleet.each(transferWork(work[1]), options);
  }
}
