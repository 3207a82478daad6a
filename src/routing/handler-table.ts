import type { FunctionName } from "../functions/function-name.ts";
import type { Frame } from "../wire/frame.ts";

/** The number of slots: a power of two. */
const SLOTS = 8192;

/** How many handles are given out before the first ones are used again. */
const HANDLE_RANGE = 0x7ffffff;

/** What the handler of a reply knows of its call. */
export interface CallRecord {
  readonly name: FunctionName;
  readonly since: number;
}

export interface FrameHandlerOptions {
  /**
   * The handle to use. By default the next free handle for replies. Anybody can guess such a handle, so it needs
   * a `respondentId`.
   */
  readonly handle?: number | undefined;
  /** False removes the handler before its first message is delivered. */
  readonly isPersistent?: boolean;
  /** Protects the handler from other contexts: a message for which this returns false is refused. */
  readonly policy?: ((frame: Frame) => boolean) | undefined;
  /**
   * The only context that may send to the handler. If it disconnects, the handler gets one dead message and
   * is removed.
   */
  readonly respondentId?: number | undefined;
  /** Whether the handler serves requests and waits for nothing. Then it gets no dead messages. */
  readonly isService?: boolean;
  /** The call whose reply the handler waits for. */
  readonly call?: CallRecord | undefined;
  /** Whether to take the handle from its current handler, which gets a dead message. */
  readonly overwrite?: boolean;
}

/** A handler in the ring of those that wait for the same context. */
interface Linked {
  next?: Linked | undefined;
  previous?: Linked | undefined;
}

/** Takes the frames of a handle. */
export interface FrameHandler extends FrameHandlerOptions, Linked {
  onFrame(frame: Frame): void;
  handle?: number | undefined;
}

/**
 * The head of the ring of handlers that wait for one context, oldest first. In a ring, no search is needed to
 * remove a handler.
 */
interface Ring extends Linked {
  count: number;
}

/** The handlers of a router, by handle and by the context they wait for. */
export class HandlerTable {
  size = 0;
  /** The first of the handles that are assigned in sequence. */
  readonly #first: number;
  /**
   * Handlers at such handles, by the last bits of the handle. Thousands may wait for replies, and hashing their
   * handles would take longer than everything else here.
   */
  readonly #slots: (FrameHandler | undefined)[] = [];
  /** All other handlers: at chosen or random handles, and those whose slot is taken by an older one. */
  readonly #others: Map<number, FrameHandler> = new Map();
  readonly #rings: Map<number, Ring> = new Map();
  /** The next handle of each range, by the first one of the range. */
  readonly #next: Map<number, number> = new Map();

  constructor(first: number) {
    this.#first = first;
  }

  get(handle: number): FrameHandler | undefined {
    const handler = this.#slots[(handle - this.#first) & (SLOTS - 1)];
    return handler !== undefined && handler.handle === handle ? handler : this.#others.get(handle);
  }

  /** Returns the next free handle of the range that begins with `first`. */
  freeHandle(first: number = this.#first): number {
    for (;;) {
      const handle = this.#next.get(first) ?? first;
      this.#next.set(first, handle >= first + HANDLE_RANGE ? first : handle + 1);
      if (this.get(handle) === undefined) return handle;
    }
  }

  /** Adds a handler. The handle must be free. */
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

  /** Removes a handler. Returns the context it waited for, if it was the last to wait for that context. */
  remove(handler: FrameHandler): number | undefined {
    this.size--;
    const slot = ((handler.handle as number) - this.#first) & (SLOTS - 1);
    if (this.#slots[slot] === handler) this.#slots[slot] = undefined;
    else this.#others.delete(handler.handle as number);
    const { respondentId, next, previous } = handler;
    if (respondentId === undefined) return undefined;
    (previous as Linked).next = next as Linked;
    (next as Linked).previous = previous as Linked;
    // Cleared, because V8 would keep all handlers alive that an old one links to.
    handler.next = handler.previous = undefined;
    return --(this.#rings.get(respondentId) as Ring).count === 0 ? respondentId : undefined;
  }

  /** The contexts that handlers wait for, or waited for before. {@link forget} removes a context. */
  get respondentIds(): Iterable<number> {
    return this.#rings.keys();
  }

  /** The handlers that wait for a context, oldest first. */
  waitingFor(contextId: number): FrameHandler[] {
    const waiting: FrameHandler[] = [];
    const ring = this.#rings.get(contextId);
    for (let at = ring?.next; at !== ring; at = (at as Linked).next) waiting.push(at as FrameHandler);
    return waiting;
  }

  /** The number of handlers that wait for a context. */
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
