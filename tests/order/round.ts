/**
 * Plays one round in a context: makes its calls, gives up some, sends messages, and checks what comes back, and
 * when.
 */
import { setImmediate as turn } from "node:timers/promises";
import { type CallChain, type Context, Receiver, type Sender } from "../../src/index.ts";
import { Arrivals } from "./arrivals.ts";
import { OrderedCall } from "./calls.ts";
import { brokenPromises } from "./checks.ts";
import * as remote from "./functions.ts";
import type { Modules } from "./modules.ts";
import { type CallEvent, CHAINS, type Event } from "./plan.ts";
import { WAY_CHANGES } from "./ways.ts";

/** Where a round is played. */
export interface Stage {
  readonly context: Context;
  readonly modules: Modules;
  /** Whether modules may wait while they are evaluated, which those of Node 12 may not. */
  readonly hasTopLevelAwait: boolean;
  /** The handle at which the round takes small messages. */
  readonly tally: Sender<[n: number, seq: number]>;
}

/** A chain, and its calls and resets in order. */
interface Turns {
  readonly chain: CallChain;
  readonly steps: (OrderedCall | "reset")[];
}

const PLAIN_CALL: CallEvent = {
  kind: "call",
  work: { n: 0, delayMs: 0, print: undefined, tally: 0, bulk: 0, resultBytes: 0, fails: false },
  form: "call",
  isLater: false,
  argumentBytes: 0,
  module: "own",
  chain: undefined,
  isHeld: false,
  givenUp: undefined,
};

export class Round {
  readonly calls: Map<number, OrderedCall> = new Map();
  readonly broken: string[] = [];
  readonly arrivals: Arrivals = new Arrivals(this.calls, this.broken);
  readonly chains: Turns[];
  /** How many messages were sent, by number of the handle. */
  readonly posts: number[] = [0, 0];
  marks = 0;
  /** Synchronous calls made by `call`, in the order of their answers. Other forms take another number of turns. */
  readonly answered: number[] = [];
  /** The notes of the context at the end. */
  notes: remote.Notes | undefined;
  readonly #stage: Stage;
  #ways!: remote.Ways;
  readonly #waits: Promise<unknown>[] = [];
  #due: { readonly at: number; readonly call: OrderedCall }[] = [];
  #gates = 0;

  constructor(stage: Stage) {
    this.#stage = stage;
    this.chains = Array.from({ length: CHAINS }, () => ({ chain: stage.context.chain(), steps: [] }));
  }

  /** Returns the broken promises. Rejects if the context is lost. */
  async play(events: readonly Event[]): Promise<readonly string[]> {
    const { context, tally } = this.#stage;
    const inbox = new Receiver<[number, number, Uint8Array]>(context.router);
    const reading = this.arrivals.readBulk(inbox);
    this.#ways = await context.call(remote.openRound, tally, inbox.toSender());
    for (const [at, event] of events.entries()) {
      this.giveUp(at);
      // Most events take no turn, so their messages leave together.
      const waiting = this.playEvent(event, at);
      if (waiting !== undefined) await waiting;
    }
    this.giveUp(Number.POSITIVE_INFINITY);
    this.endChains();
    await this.settled();
    for (const post of this.#ways.posts) post.close();
    const notes = await context.call(remote.finishRound);
    this.notes = notes;
    // The context has sent the messages ahead of that answer, but this process may still have to read them.
    while (inbox.size() > 0) await turn();
    inbox.close();
    await reading;
    return [...this.broken, ...brokenPromises(this, notes)];
  }

  /** The calls without an outcome, for people. */
  get missing(): string {
    return [...this.calls.values()]
      .filter(({ outcome }) => outcome === undefined)
      .map(({ event }) => JSON.stringify(event))
      .join("\n  ");
  }

  private playEvent(event: Event, at: number): Promise<unknown> | undefined {
    switch (event.kind) {
      case "call":
        this.make(event, at);
        this.giveUp(at);
        return undefined;
      case "post": {
        const sending = event.sizes.map((bytes) => this.post(event.to, bytes));
        return event.isAwaited ? Promise.all(sending) : undefined;
      }
      case "mark":
        this.marks += 1;
        this.#waits.push(this.#ways.marks.send(this.marks));
        return undefined;
      case "turn":
        return this.wait(event.until);
      case "reset":
        this.reset(this.chains[event.chain] as Turns);
        return undefined;
      case "gate":
        return this.playGate(event, at);
      case "way":
        this.changeWay(event.change);
        return undefined;
    }
  }

  private make(event: CallEvent, at: number, fn: unknown = this.functionOf(event)): OrderedCall {
    const turns = event.chain === undefined ? undefined : (this.chains[event.chain] as Turns);
    const call = new OrderedCall(turns?.chain ?? this.#stage.context, fn, event, { marks: this.marks });
    this.add(call, turns, at);
    return call;
  }

  private add(call: OrderedCall, turns: Turns | undefined, at: number): void {
    const { event, n } = call;
    const { givenUp } = event;
    this.calls.set(n, call);
    turns?.steps.push(call);
    if (givenUp !== undefined && "events" in givenUp) this.#due.push({ at: at + givenUp.events, call });
    void call.over.then(() => this.look(call));
  }

  private functionOf({ module, isLater, work }: CallEvent): unknown {
    if (module !== "own") return this.#stage.modules.make(module, isLater, work.n);
    return isLater ? remote.workLater : remote.work;
  }

  /** Checks an answer when it has come. */
  private look(call: OrderedCall): void {
    const { n, error, wrongAnswer, event } = call;
    const { print, tally } = event.work;
    if (wrongAnswer !== undefined) this.broken.push(wrongAnswer);
    if (event.form === "callNoReply" || (error !== undefined && !call.hasFailedItself)) return;
    const lines = this.arrivals.lines.get(n) ?? 0;
    const messages = this.arrivals.tally.get(n) ?? 0;
    if (lines !== (print?.lines ?? 0) || messages !== tally)
      this.broken.push(
        `call ${n} was answered ahead of its output: after ${lines} lines, ${messages} messages`,
      );
    const isPlain = event.form === "call" && event.givenUp === undefined && event.chain === undefined;
    if (isPlain && !event.isLater && !event.work.fails) this.answered.push(n);
  }

  private giveUp(at: number): void {
    const due = this.#due;
    this.#due = due.filter((each) => each.at > at);
    for (const each of due) if (each.at <= at) each.call.giveUp();
  }

  private async wait(until: "turn" | "answer" | "answers"): Promise<void> {
    const waiting = [...this.calls.values()].filter(({ outcome }) => outcome === undefined);
    if (until === "answers") await Promise.all(waiting.map(({ over }) => over));
    else if (until === "answer" && waiting.length > 0) await waiting[waiting.length >> 1]?.over;
    else await turn();
  }

  private post(to: 0 | 1, length: number): Promise<void> | undefined {
    const seq = (this.posts[to] as number) + 1;
    this.posts[to] = seq;
    const sending = this.#ways.posts[to]?.send([seq, length > 0 ? remote.bytesOf(seq, length) : undefined]);
    this.#waits.push(sending as Promise<void>);
    return sending;
  }

  private reset({ chain, steps }: Turns): void {
    chain.reset();
    steps.push("reset");
  }

  /** A call that waits for the gate, and is given up before the gate opens, never begins. */
  private async playGate(
    { by, holder, behind, hasTurn }: Event & { kind: "gate" },
    at: number,
  ): Promise<void> {
    const { context, modules, hasTopLevelAwait } = this.#stage;
    const gate = ++this.#gates;
    const event: CallEvent = { ...PLAIN_CALL, work: holder };
    let chain: number | undefined;
    if (by === "module" && hasTopLevelAwait) this.make(event, at, modules.makeGate(gate, holder.n));
    else {
      chain = this.chains.length;
      const turns: Turns = { chain: context.chain(), steps: [] };
      this.chains.push(turns);
      const details = { marks: this.marks, argument: gate };
      this.add(
        new OrderedCall(turns.chain, remote.hold, { ...event, isLater: true, chain }, details),
        turns,
        at,
      );
    }
    for (const each of behind) this.make({ ...each, chain }, at);
    if (hasTurn) await turn();
    this.giveUp(at);
    // The target is told after the callers, which are told in this turn.
    await turn();
    this.#waits.push(this.#ways.gates.send(gate));
  }

  private changeWay(index: number): void {
    const way = WAY_CHANGES[index];
    const failed = (error: unknown): void => void this.broken.push(`${way?.name}: ${error}`);
    this.#waits.push(Promise.resolve(way?.change(this.#stage.context)).catch(failed));
  }

  /** Ends the chains. All calls of a chain have had their turns when its last call is answered. */
  private endChains(): void {
    let n = Math.max(0, ...this.calls.keys());
    for (const [chain, turns] of this.chains.entries()) {
      this.reset(turns);
      this.make({ ...PLAIN_CALL, work: { ...PLAIN_CALL.work, n: ++n }, chain }, Number.POSITIVE_INFINITY);
      // The end takes its turn like a call.
      void turns.chain[Symbol.asyncDispose]();
    }
  }

  private async settled(): Promise<void> {
    await Promise.all(this.#waits);
    await Promise.all([...this.calls.values()].map(({ over }) => over));
  }
}
