/** The checks of a round that is over. */
import type { OrderedCall } from "./calls.ts";
import type { Notes } from "./functions.ts";
import type { Round } from "./round.ts";

type Say = (what: string) => void;

export function brokenPromises(round: Round, notes: Notes): string[] {
  const broken: string[] = [];
  const say: Say = (what) => void broken.push(what);
  const begun = new Map<number, number>();
  for (const [at, step] of notes.steps.entries()) {
    if (step > 0 && begun.has(step)) say(`call ${step} began twice`);
    if (step > 0) begun.set(step, at);
    else if (!begun.has(-step)) say(`call ${-step} ended, and never began`);
    if (step > 0 && !round.calls.has(step)) say(`call ${step} began, and was never made`);
  }
  for (const call of round.calls.values()) checkCall(call, begun.has(call.n), say);
  checkBegins(round, notes, say);
  checkOutput(round, notes, begun, say);
  checkMessages(round, notes, begun, say);
  for (const { steps } of round.chains) checkChain(steps, notes, begun, say);
  return broken;
}

function checkCall(call: OrderedCall, hasBegun: boolean, say: Say): void {
  const { n, event, outcome, error } = call;
  if (event.isHeld && event.givenUp !== undefined && hasBegun)
    say(`call ${n} began, and was given up while something held it`);
  // Calls of chains depend on each other.
  if (event.chain !== undefined || outcome === undefined) return;
  if (event.givenUp === undefined && !hasBegun) say(`call ${n} never began`);
  if (event.form === "callNoReply") return;
  if (error !== undefined) {
    if (!call.wasGivenUp && !(event.work.fails && call.hasFailedItself))
      say(`call ${n} failed by ${error.stack}`);
  } else if (!hasBegun) say(`call ${n} was answered, and never began`);
}

/** Calls begin in the order made, after earlier messages have arrived. Answers of calls that take no time keep the order. */
function checkBegins(round: Round, notes: Notes, say: Say): void {
  const plain = notes.steps.filter((n) => n > 0 && round.calls.get(n)?.event.chain === undefined);
  checkAscending(plain, "began", say);
  checkAscending(round.answered, "was answered", say);
  for (const [n, count] of notes.marks) {
    const { marks = 0 } = round.calls.get(n) ?? {};
    if (count < marks) say(`call ${n} began when ${count} messages were there, of ${marks} sent before it`);
  }
}

function checkOutput(round: Round, notes: Notes, begun: ReadonlyMap<number, number>, say: Say): void {
  const { lines, printed, bulk, tally } = round.arrivals;
  for (const { n, event } of round.calls.values()) {
    const { print, ...work } = event.work;
    const isBegun = begun.has(n);
    for (const [what, expected, seen] of [
      ["lines", print?.lines ?? 0, lines.get(n) ?? 0],
      ["small messages", work.tally, tally.get(n) ?? 0],
      ["large messages", work.bulk, bulk.get(n) ?? 0],
    ] as const) {
      if (seen !== (isBegun ? expected : 0))
        say(`call ${n} (begun: ${isBegun}): ${seen} ${what} of ${expected}`);
    }
  }
  for (const stream of ["stdout", "stderr"] as const) {
    const sync = printed[stream].filter((n) => round.calls.get(n)?.event.isLater === false);
    const places = sync.map((n) => begun.get(n) ?? 0);
    if (places.some((place, index) => place < (places[index - 1] ?? 0)))
      say(`what was printed to ${stream} came in another order: ${sync}, begun as ${notes.steps}`);
  }
}

function checkMessages(
  { arrivals, posts }: Round,
  notes: Notes,
  begun: ReadonlyMap<number, number>,
  say: Say,
): void {
  if (arrivals.tallied !== notes.tally) say(`${arrivals.tallied} of ${notes.tally} small messages came`);
  if (arrivals.bulky !== notes.bulk) say(`${arrivals.bulky} of ${notes.bulk} large messages came`);
  for (const [handle, sent] of posts.entries()) {
    const seen = notes.posts[handle] ?? [];
    if (seen.length !== sent || seen.some((seq, index) => seq !== index + 1))
      say(`of ${sent} messages to handle ${handle} came ${seen}`);
  }
  if (notes.marks.length !== begun.size) say("a call began without looking at the marks");
}

function checkAscending(numbers: readonly number[], what: string, say: Say): void {
  for (const [index, n] of numbers.entries()) {
    const before = numbers[index - 1] ?? 0;
    if (n < before) say(`call ${n} ${what} after call ${before}`);
  }
}

/** Calls of a chain run one at a time, in order; after a failure none runs until the next reset. */
function checkChain(
  steps: readonly (OrderedCall | "reset")[],
  notes: Notes,
  begun: ReadonlyMap<number, number>,
  say: Say,
): void {
  const own = new Set(steps.map((step) => (step === "reset" ? 0 : step.n)));
  const seen = notes.steps.filter((step) => own.has(Math.abs(step)));
  checkAscending(seen.map(Math.abs), "of a chain took its turn", say);
  const isInTurns = seen.every((step, at) => (at % 2 === 0 ? step > 0 : step === -(seen[at - 1] as number)));
  if (!isInTurns) say(`calls of a chain overlapped: ${seen}`);
  let state = new ChainState();
  for (const step of steps) {
    if (step === "reset") state = new ChainState();
    else state.next(step, begun.has(step.n), say);
  }
}

/** What the earlier calls of a chain say about its state since the last reset. */
class ChainState {
  /** Calls that may have failed the chain. One that was given up may have been over by then, or not. */
  readonly #suspects: OrderedCall[] = [];
  #hasFailed = false;

  next(call: OrderedCall, hasBegun: boolean, say: Say): void {
    const { n, event, error } = call;
    if (this.#hasFailed && hasBegun) say(`call ${n} began, and its chain had failed`);
    if (event.form === "callNoReply") {
      const mustBegin = this.#suspects.length === 0 && event.givenUp === undefined;
      if (mustBegin && !hasBegun) say(`call ${n} never began`);
      if (event.work.fails || event.givenUp !== undefined) this.suspect(call, event.work.fails && hasBegun);
    } else if (error === undefined) {
      if (this.#hasFailed || event.work.fails || !hasBegun)
        say(`call ${n} (begun: ${hasBegun}) was answered by a value, and it or its chain had failed`);
    } else if (call.wasGivenUp) this.suspect(call, false);
    else {
      const isOwn = event.work.fails && hasBegun && call.hasFailedItself;
      if (!isOwn && !this.#suspects.flatMap(failuresOf).some((failure) => error.message.includes(failure)))
        say(`call ${n} failed by ${error.stack}`);
      this.suspect(call, true);
    }
    // It was given up before its turn, so no later call can have had a turn.
    if (event.isHeld && event.givenUp !== undefined) this.#hasFailed = true;
  }

  private suspect(call: OrderedCall, isCertain: boolean): void {
    this.#suspects.push(call);
    this.#hasFailed ||= isCertain;
  }
}

/** The errors that later calls of a chain get if this one failed, or was given up. */
function failuresOf({ n, event: { givenUp, work } }: OrderedCall): string[] {
  const failures = work.fails ? [`${n} fails`] : [];
  if (givenUp === undefined) return failures;
  return [
    ...failures,
    "timeoutMs" in givenUp ? `no answer within ${givenUp.timeoutMs} ms` : `${n} is given up`,
  ];
}
