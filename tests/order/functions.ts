/**
 * Functions that rounds call in their contexts, and notes about calls that began and messages that arrived. Runs on
 * every Node from 12.22 on.
 */
import { econtext, Receiver, type Sender } from "../../src/index.ts";

/** What one call does, in this order: it prints, sends, and returns or throws. */
export interface Work {
  readonly n: number;
  /** The delay before all that, only for an asynchronous call. */
  readonly delayMs: number;
  readonly print: Print | undefined;
  /** The number of small messages to a handle that takes them at once. */
  readonly tally: number;
  /** The number of messages, most of them large, for which an asynchronous call waits until each has left. */
  readonly bulk: number;
  readonly resultBytes: number;
  readonly fails: boolean;
}

export interface Print {
  readonly stream: "stdout" | "stderr";
  readonly lines: number;
  readonly characters: number;
}

export interface Result {
  readonly n: number;
  /** Whether the argument was what it should be. */
  readonly isWhole: boolean;
  readonly bytes: Uint8Array | undefined;
}

export interface Ways {
  /** Takes small messages that nobody reads, so that their number at the begin of a call is known exactly. */
  readonly marks: Sender<number>;
  /** Takes messages that are read all the time. */
  readonly posts: readonly Sender<[seq: number, bytes: Uint8Array | undefined]>[];
  /** Opens the gate of that number. */
  readonly gates: Sender<number>;
}

/** What the context has seen of a round. */
export interface Notes {
  /** n when call n began, -n when it ended. */
  readonly steps: number[];
  /** How many marks were there when call n began. */
  readonly marks: [n: number, count: number][];
  /** The numbers of the messages that arrived, by handle. The number of a damaged message is negative. */
  readonly posts: number[][];
  /** How many small messages were sent from here. */
  tally: number;
  bulk: number;
}

let notes: Notes = { steps: [], marks: [], posts: [], tally: 0, bulk: 0 };
let marks: Receiver<number>;
let tally: Sender<[n: number, seq: number]>;
let bulk: Sender<[n: number, seq: number, bytes: Uint8Array]>;
let opened: { close(): void }[] = [];
let reading: Promise<void>[] = [];
/** The number of calls that have begun and not ended. `onIdle` is called when it is 0. */
let running = 0;
let onIdle: (() => void) | undefined;
const releases: Map<number, () => void> = new Map();
const gates: Map<number, Promise<void>> = new Map();

/** The bytes that stand for a number. */
export function bytesOf(n: number, length: number): Buffer {
  return Buffer.alloc(length, `${n}:`);
}

export function openRound(tallyTo: typeof tally, bulkTo: typeof bulk): Ways {
  const { router } = econtext();
  [tally, bulk] = [tallyTo, bulkTo];
  notes = { steps: [], marks: [], posts: [[], []], tally: 0, bulk: 0 };
  marks = new Receiver<number>(router);
  const posts = notes.posts.map(() => new Receiver<[number, Uint8Array | undefined]>(router));
  const released = new Receiver<number>(router);
  opened = [marks, released, ...posts];
  reading = posts.map((receiver, index) => readPosts(receiver, notes.posts[index] as number[]));
  void readReleases(released);
  return {
    marks: marks.toSender(),
    posts: posts.map((receiver) => receiver.toSender()),
    gates: released.toSender(),
  };
}

/** Resolves when all calls here are over, and the senders are closed. */
export async function finishRound(): Promise<Notes> {
  await Promise.all(reading);
  if (running > 0)
    await new Promise<void>((resolve) => {
      onIdle = resolve;
    });
  onIdle = undefined;
  for (const each of opened) each.close();
  gates.clear();
  releases.clear();
  return notes;
}

export function work(task: Work, argument?: Uint8Array): Result {
  begin(task);
  return rest(task, argument);
}

export function workLater(task: Work, argument?: Uint8Array): Promise<Result> {
  begin(task);
  return restLater(task, argument);
}

export function begin({ n }: Work): void {
  running += 1;
  notes.steps.push(n);
  notes.marks.push([n, marks.size()]);
}

function end({ n }: Work): void {
  running -= 1;
  notes.steps.push(-n);
  if (running === 0) onIdle?.();
}

/** The work after `begin`. A module may have to be loaded in between. */
export function rest(task: Work, argument?: Uint8Array): Result {
  try {
    say(task);
    if (task.fails) throw new Error(`${task.n} fails`);
    return resultOf(task, argument);
  } finally {
    end(task);
  }
}

export async function restLater(task: Work, argument?: Uint8Array): Promise<Result> {
  if (task.delayMs > 0) await new Promise((resolve) => setTimeout(resolve, task.delayMs));
  else await null;
  try {
    say(task);
    for (let i = 0; i < task.bulk; i++) {
      const seq = ++notes.bulk;
      await bulk.send([task.n, seq, bytesOf(seq, bulkBytes(seq))]);
    }
    if (task.fails) throw new Error(`${task.n} fails`);
    return resultOf(task, argument);
  } finally {
    end(task);
  }
}

/** Waits until its gate is open. */
export async function hold(task: Work, gate: number): Promise<Result> {
  begin(task);
  await gateOf(gate);
  return rest(task);
}

export function gateOf(gate: number): Promise<void> {
  let promise = gates.get(gate);
  if (promise === undefined) {
    promise = new Promise((resolve) => releases.set(gate, resolve));
    gates.set(gate, promise);
  }
  return promise;
}

export function add(a: number, b: number): number {
  return a + b;
}

/** A small one must not overtake the large ones before it. */
export function bulkBytes(seq: number): number {
  return seq % 3 === 0 ? 10 : 200 * 1024;
}

function say({ n, print, tally: count }: Work): void {
  for (let i = 0; i < (print?.lines ?? 0); i++) {
    const { stream, characters } = print as Print;
    console[stream === "stdout" ? "log" : "error"](`order ${n} ${i} ${"x".repeat(characters)}`);
  }
  // Without waiting: messages that may leave do so now, in the middle of the function.
  for (let i = 0; i < count; i++) void tally.send([n, ++notes.tally]);
}

function resultOf({ n, resultBytes }: Work, argument: Uint8Array | undefined): Result {
  return {
    n,
    isWhole: argument === undefined || bytesOf(n, argument.length).equals(argument),
    bytes: resultBytes > 0 ? bytesOf(n, resultBytes) : undefined,
  };
}

async function readPosts(
  receiver: Receiver<[number, Uint8Array | undefined]>,
  seen: number[],
): Promise<void> {
  for await (const message of receiver) {
    const [seq, bytes] = message.decode();
    seen.push(bytes === undefined || bytesOf(seq, bytes.length).equals(bytes) ? seq : -seq);
  }
}

async function readReleases(receiver: Receiver<number>): Promise<void> {
  for await (const message of receiver) {
    const gate = message.decode();
    void gateOf(gate);
    releases.get(gate)?.();
  }
}

/** Modules that are made for one call find these functions here, so that they need no imports. */
Object.assign(globalThis, { mitogenOrder: { work, workLater, begin, rest, restLater, gateOf } });
