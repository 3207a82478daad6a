import type { FunctionName } from "../functions/function-name.ts";
import type { Frame } from "../wire/frame.ts";

/** A power of two. */
const SLOTS = 8192;

/** How many handles are given out before the first are used again. */
export const HANDLE_RANGE = 0x7ffffff;

/** What the handler of its answer knows of a call. */
export interface CallRecord {
  readonly name: FunctionName;
  readonly since: number;
}

export interface FrameHandlerOptions {
  /** The number wanted; if absent the next free one of those for replies, which anybody can guess: only with `respondentId`. */
  readonly handle?: number | undefined;
  /** False: removed before its first message is delivered. */
  readonly isPersistent?: boolean;
  /** A message it answers false to is refused, and its sender told so. Defends handlers from other contexts. */
  readonly policy?: ((frame: Frame) => boolean) | undefined;
  /** Only this context may send here; when it disconnects the handler gets one dead message and is removed. */
  readonly respondentId?: number | undefined;
  /** It serves requests and waits for nothing: dead messages are dropped in front of it. */
  readonly isService?: boolean;
  /** What it waits for the answer of, if that is a call. */
  readonly call?: CallRecord | undefined;
  /** Take the handle over from whoever has it, who gets a dead message. */
  readonly overwrite?: boolean;
}

/** One of those that wait for the same context. */
interface Linked {
  next?: Linked | undefined;
  previous?: Linked | undefined;
}

/** What takes the frames of a handle. */
export interface FrameHandler extends FrameHandlerOptions, Linked {
  onFrame(frame: Frame): void;
  handle?: number | undefined;
}

/** Closes the ring of those that wait for one context, oldest first: whoever is answered leaves it without a search. */
interface Ring extends Linked {
  count: number;
}

/** The handlers of a router, by their handles and by the contexts they wait for. */
export class HandlerTable {
  size = 0;
  /** The first of the handles that are given out in turn. */
  readonly #first: number;
  /** Those at such handles, by their last bits: thousands may wait for answers, and hashing takes longer than all else here. */
  readonly #slots: (FrameHandler | undefined)[] = [];
  /** All others: chosen ones, those by chance, and one whose slot is taken by another that waits for long. */
  readonly #others: Map<number, FrameHandler> = new Map();
  readonly #rings: Map<number, Ring> = new Map();

  constructor(first: number) {
    this.#first = first;
  }

  get(handle: number): FrameHandler | undefined {
    const handler = this.#slots[(handle - this.#first) & (SLOTS - 1)];
    return handler !== undefined && handler.handle === handle ? handler : this.#others.get(handle);
  }

  /** The handle must be free. */
  add(handler: FrameHandler, handle: number): void {
    handler.handle = handle;
    this.size++;
    const turn = handle - this.#first;
    const slot = turn & (SLOTS - 1);
    if (turn >>> 0 > HANDLE_RANGE || this.#slots[slot] !== undefined) this.#others.set(handle, handler);
    else this.#slots[slot] = handler;
    const { respondentId } = handler;
    if (respondentId === undefined) return;
    let ring = this.#rings.get(respondentId);
    if (ring === undefined) {
      ring = { count: 0 };
      ring.next = ring.previous = ring;
      this.#rings.set(respondentId, ring);
    }
    ring.count++;
    handler.next = ring;
    handler.previous = ring.previous as Linked;
    ring.previous = handler.previous.next = handler;
  }

  /** Answers the context that nobody waits for any more, if it was the last that did. */
  remove(handler: FrameHandler): number | undefined {
    this.size--;
    const slot = ((handler.handle as number) - this.#first) & (SLOTS - 1);
    if (this.#slots[slot] === handler) this.#slots[slot] = undefined;
    else this.#others.delete(handler.handle as number);
    const { respondentId, next, previous } = handler;
    if (respondentId === undefined) return undefined;
    (previous as Linked).next = next as Linked;
    (next as Linked).previous = previous as Linked;
    // An old one must keep none of those behind it, or V8 would take them all for old.
    handler.next = handler.previous = undefined;
    return --(this.#rings.get(respondentId) as Ring).count === 0 ? respondentId : undefined;
  }

  /** The contexts that somebody waits for, and those that were waited for and are not {@link forget | forgotten}. */
  get respondentIds(): Iterable<number> {
    return this.#rings.keys();
  }

  /** Those that wait for a context, oldest first. */
  waitingFor(contextId: number): FrameHandler[] {
    const waiting: FrameHandler[] = [];
    const ring = this.#rings.get(contextId);
    for (let at = ring?.next; at !== ring; at = at?.next) waiting.push(at as FrameHandler);
    return waiting;
  }

  /** How many these are. */
  countFor(contextId: number): number {
    return this.#rings.get(contextId)?.count ?? 0;
  }

  forget(contextId: number): void {
    this.#rings.delete(contextId);
  }

  all(): FrameHandler[] {
    return [...this.#others.values(), ...this.#slots.filter((handler) => handler !== undefined)];
  }
}
