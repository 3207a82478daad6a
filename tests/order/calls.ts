/** One call of a round: how it is made and given up, and its outcome. */
import { isDeepStrictEqual } from "node:util";
import type { BoundCalls } from "../../src/calls/caller/bound-calls.ts";
import { type Context, Receiver } from "../../src/index.ts";
import { bytesOf, type Result, type Work } from "./functions.ts";
import type { CallEvent } from "./plan.ts";

export type Outcome = { readonly value: Result | undefined } | { readonly error: Error };

/** A context or a chain, which makes the call. */
export type Caller = Pick<Context, "call" | "callAsync" | "callNoReply"> & {
  with(options: { timeoutMs?: number; signal?: AbortSignal }): BoundCalls;
};

type WorkFunction = (work: Work, argument?: never) => Promise<Result>;

export class OrderedCall {
  readonly event: CallEvent;
  readonly n: number;
  /** How many marks had been sent before the call. */
  readonly marks: number;
  /** Resolves when the call is over. Never rejects. */
  readonly over: Promise<void>;
  /** A call without a reply has an outcome without a value. */
  outcome: Outcome | undefined;
  readonly #abort: AbortController = new AbortController();
  #receiver: Receiver<Result> | undefined;

  /** `argument` takes the place of the bytes that the event names. */
  constructor(
    caller: Caller,
    fn: unknown,
    event: CallEvent,
    { marks, argument }: { marks: number; argument?: number },
  ) {
    const { work, form, argumentBytes } = event;
    this.event = event;
    this.n = work.n;
    this.marks = marks;
    const calls = this.bounded(caller);
    const bytes = argumentBytes > 0 ? bytesOf(work.n, argumentBytes) : undefined;
    const request = [fn as WorkFunction, work, (argument ?? bytes) as never] as const;
    let answer: Promise<Result | undefined>;
    if (form === "call") answer = calls.call(...request);
    else if (form === "callAsync") {
      this.#receiver = calls.callAsync(...request);
      answer = this.#receiver.get().then((message) => message.decode());
    } else {
      calls.callNoReply(...request);
      answer = Promise.resolve(undefined);
    }
    this.over = answer.then(
      (value) => {
        this.outcome = { value };
      },
      (error) => {
        this.outcome = { error };
      },
    );
  }

  /** Whether its answer has come, as far as that is known within the same turn. */
  get hasAnswer(): boolean {
    // A call that was given up has an end of its own.
    return this.event.givenUp === undefined && this.#receiver?.isClosed === true;
  }

  /** Whether its error is the one that its function throws. */
  get hasFailedItself(): boolean {
    return this.error?.message === `Error: ${this.n} fails`;
  }

  /** Whether its error is the reason for which it was given up. */
  get wasGivenUp(): boolean {
    const { givenUp } = this.event;
    if (givenUp === undefined) return false;
    return "timeoutMs" in givenUp
      ? this.error?.name === "TimeoutError"
      : this.error?.message === `${this.n} is given up`;
  }

  get error(): Error | undefined {
    return this.outcome !== undefined && "error" in this.outcome ? this.outcome.error : undefined;
  }

  /** What is wrong with the value of its answer; undefined if nothing is. */
  get wrongAnswer(): string | undefined {
    if (this.outcome === undefined || "error" in this.outcome || this.event.form === "callNoReply")
      return undefined;
    const { n, event, outcome } = this;
    const length = event.work.resultBytes;
    const bytes = length > 0 ? bytesOf(n, length) : undefined;
    if (isDeepStrictEqual(outcome.value, { n, isWhole: true, bytes })) return undefined;
    return `call ${n} was answered by ${JSON.stringify({ ...outcome.value, bytes: outcome.value?.bytes?.length })}`;
  }

  giveUp(): void {
    this.#abort.abort(new Error(`${this.n} is given up`));
  }

  private bounded(caller: Caller): Caller | BoundCalls {
    const { givenUp } = this.event;
    if (givenUp === undefined) return caller;
    return caller.with("timeoutMs" in givenUp ? givenUp : { signal: this.#abort.signal });
  }
}
