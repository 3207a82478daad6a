import type { Run } from "../../commands/run.ts";
import type { ConnectingRouter } from "../../connection/connecting-router.ts";
import type { Receiver } from "../../core/receiver.ts";
import type { Sender } from "../../core/sender.ts";
import { CancelledError } from "../../errors.ts";
import { FunctionRef } from "../../functions/callable.ts";
import { type AbortEnd, newAbortEnd } from "../../waiting/abort-end.ts";
import type { Host } from "../config/host.ts";
import { Connections, HostConnection } from "./connections.ts";
import type { FromHop, HopPlan, ToHop, WorkRequest } from "./hop-messages.ts";
import { sentError } from "./host-error.ts";
import { GivenUp, runOnHost, type Work, type WorkLimits } from "./host-run.ts";
import { callWork, execWork, factsWork, pingWork } from "./works.ts";

/** The exports of this library in the hop. */
export interface HopLibrary {
  readonly run: Run;
  readonly Receiver: typeof Receiver;
}

/** The functions of the part `mitogen:fleet` in a hop. */
export function hopFunctions(router: ConnectingRouter, library: () => HopLibrary): Record<string, unknown> {
  const hops = new Map<number, Hop>();
  return {
    startHop(plan: HopPlan, hosts: readonly Host[], events: Sender<FromHop>): Sender<ToHop> {
      const hop = new Hop(router, library(), plan, hosts, events);
      const sender = hop.listen();
      hops.set(sender.handle, hop);
      return sender;
    },
    async closeHop(handle: number): Promise<void> {
      const hop = hops.get(handle);
      hops.delete(handle);
      if (hop !== undefined) await hop.close();
    },
  };
}

/** The part of a fleet that is in a hop: connects hosts, and does on them what the program says. */
class Hop {
  readonly #router: ConnectingRouter;
  readonly #library: HopLibrary;
  readonly #events: Sender<FromHop>;
  readonly #connections: Connections;
  readonly #members: Map<string, HostConnection>;
  readonly #tasks: Map<number, { readonly work: Work<unknown>; readonly limits: WorkLimits }> = new Map();
  readonly #works: Map<number, AbortEnd> = new Map();
  #receiver: Receiver<ToHop> | undefined;

  constructor(
    router: ConnectingRouter,
    library: HopLibrary,
    plan: HopPlan,
    hosts: readonly Host[],
    events: Sender<FromHop>,
  ) {
    this.#router = router;
    this.#library = library;
    this.#events = events;
    this.#connections = new Connections(router, {
      ...plan,
      onConnecting: ({ name }) => void this.tell(["connecting", name]),
      onStep: () => void this.tell(["step"]),
      onConnected: ({ name }, { contextId }, durationMs) =>
        void this.tell(["connected", name, contextId, durationMs]),
    });
    this.#members = new Map(
      hosts.map((host) => {
        const member = new HostConnection(this.#connections, host);
        void member.settled.then(() => this.tellSettled(member));
        return [host.name, member];
      }),
    );
  }

  listen(): Sender<ToHop> {
    this.#receiver = new this.#library.Receiver<ToHop>(this.#router as never);
    // The end of the program's side ends the loop.
    void this.takeAll(this.#receiver).catch(() => this.close());
    return this.#receiver.toSender();
  }

  async close(): Promise<void> {
    for (const end of this.#works.values()) end.abort(new GivenUp("the fleet has been closed"));
    if (this.#receiver !== undefined) this.#receiver.close();
    await this.#connections.close(new CancelledError("Cannot connect: the fleet has been closed"));
  }

  private async takeAll(receiver: Receiver<ToHop>): Promise<void> {
    for await (const message of receiver) this.take(message.decode());
  }

  private take(message: ToHop): void {
    switch (message[0]) {
      case "task":
        this.#tasks.set(message[1], { work: this.workOf(message[2]), limits: message[3] });
        break;
      case "forget":
        this.#tasks.delete(message[1]);
        break;
      case "work":
        void this.work(message[1], message[2], message[3]);
        break;
      case "giveUp": {
        const end = this.#works.get(message[1]);
        if (end !== undefined) end.abort(new GivenUp("the run was given up"));
        break;
      }
      case "cancel":
        this.#connections.cancel(new CancelledError("Cannot connect: it was given up"));
        break;
      case "connect": {
        const member = this.#members.get(message[1]) as HostConnection;
        void member.connect().then(
          () => this.tellSettled(member),
          () => this.tellSettled(member),
        );
      }
    }
  }

  private workOf(request: WorkRequest): Work<unknown> {
    switch (request[0]) {
      case "call":
        return callWork(new FunctionRef(request[1], request[2]), request[3]);
      case "exec":
        return execWork(this.#library.run, request[1], request[2]);
      case "ping":
        return pingWork;
      case "facts":
        return factsWork;
    }
  }

  private async work(workId: number, taskId: number, host: string): Promise<void> {
    const { work, limits } = this.#tasks.get(taskId) as { work: Work<unknown>; limits: WorkLimits };
    const end = newAbortEnd();
    this.#works.set(workId, end);
    const member = this.#members.get(host) as HostConnection;
    const result = await runOnHost(member, work, limits, end.signal, (event) =>
      this.tell(["event", workId, event]),
    );
    this.#works.delete(workId);
    const { error, ...rest } = result;
    const sent = error === undefined ? rest : { ...rest, error: sentError(error) };
    await this.tell(["result", workId, sent]);
  }

  private tellSettled(member: HostConnection): void {
    const { failure } = member;
    void this.tell(["settled", member.host.name, failure === undefined ? null : sentError(failure)]);
  }

  /** Waits while the program reads too slowly. A value that cannot travel becomes the reason why not. */
  private async tell(message: FromHop): Promise<void> {
    try {
      await this.#events.send(message);
    } catch (error) {
      const isMisuse = error instanceof TypeError || error instanceof RangeError;
      // The program reads no more messages, so it has ended this.
      if (!isMisuse) void this.close();
      if (message[0] !== "result" || !isMisuse) return;
      const { host, durationMs } = message[2];
      const failed = { host, durationMs, status: "failed", error: sentError(error) } as const;
      await this.#events.send(["result", message[1], failed]).catch(() => undefined);
    }
  }
}
