import { SelectError, TimeoutError } from "../errors.ts";
import { flag, WAIT_OPTIONS } from "../options/option-types.ts";
import { misuse, type OptionTable, readOptions, show } from "../options/options.ts";
import { KeepAlive } from "../waiting/keep-alive.ts";
import { awaitWithin, type WaitOptions } from "../waiting/wait.ts";
import { placedAtWaiter } from "./call-site.ts";
import type { Message } from "./message.ts";
import { GET_OPTIONS, type GetOptions, type Receiver } from "./receiver.ts";

/** What a {@link Select} reads from. */
export type SelectSource<T = unknown> = Receiver<T> | Select<T>;

/** One message, and which source of the Select it came from. */
export interface SelectEvent<T = unknown> {
  /** The receiver or Select that it came from. */
  readonly source: SelectSource<T>;
  /** The message. */
  readonly data: Message<T>;
}

const SELECT_OPTIONS: OptionTable<{ oneshot?: boolean }> = { oneshot: flag };

interface Member {
  readonly watcher: () => void;
  /** How many entries it has in the ready list. */
  pending: number;
}

/** The Select to which each source belongs. */
const owners = new WeakMap<object, object>();
const keepAlive = new KeepAlive();

/**
 * Reads messages from several sources (Receivers, Channels, other Selects) in the order in which they arrive. A source
 * belongs to one Select at a time. Messages that a source already holds are delivered too, source by source. Messages
 * that another reader takes are skipped.
 *
 * With `oneshot`, the default, a source is removed once it has yielded a message; a nested `oneshot` Select, once it is
 * empty. A source that has ended, because its context is gone or it was closed, is always removed, after `get` or the
 * iteration has thrown its ChannelError once.
 *
 * ```ts
 * const select = new Select(contexts.map((context) => context.callAsync(os.loadavg)));
 * for await (const message of select) console.log(message.context.name, message.decode());
 * ```
 */
export class Select<T = unknown> {
  /** Called when something may have arrived, or it was closed: for the Select it is a source of. @internal */
  readonly watchers: Set<() => void> = new Set();
  readonly #isOneShot: boolean;
  readonly #members: Map<SelectSource<T>, Member> = new Map();
  /**
   * Holds a source once for each of its messages, and once for its end. If another reader took the message,
   * that is noticed when the entry's turn comes.
   */
  #ready: SelectSource<T>[] = [];
  /** In the order in which they began to wait. Each returns whether it has got its message. */
  readonly #waiters: Set<() => boolean> = new Set();
  #isPumping = false;
  #isClosed = false;

  /** Throws a {@link SelectError} like {@link add}. */
  constructor(sources: Iterable<SelectSource<T>> = [], options: { oneshot?: boolean } = {}) {
    if (typeof (sources as Partial<typeof sources> | null)?.[Symbol.iterator] !== "function") {
      const message = `Cannot make a select: the sources must be a list of Receivers and Selects, got ${show(sources)}`;
      throw misuse("ERR_INVALID_ARG_TYPE", message);
    }
    this.#isOneShot = readOptions("make a select", options, SELECT_OPTIONS).oneshot ?? true;
    try {
      for (const source of sources) this.add(source);
    } catch (error) {
      this.close();
      throw error;
    }
  }

  /**
   * Returns the values of one message from each receiver, in the order in which they arrive. Rejects with the first
   * error: a CallError, or a ChannelError for a dead message. The receivers stay open.
   *
   * ```ts
   * const uptimes = await Select.all(contexts.map((context) => context.callAsync(os.uptime)));
   * ```
   */
  static async all<T>(receivers: Iterable<SelectSource<T>>, options: WaitOptions = {}): Promise<T[]> {
    const bounds = readOptions("get from select", options, WAIT_OPTIONS);
    const select = new Select(receivers);
    try {
      return await awaitWithin<T[]>(
        keepAlive,
        bounds,
        () => "get from select",
        (resolve, reject) => void select.readAll().then(resolve, reject),
        () => undefined,
      );
    } catch (error) {
      await placedAtWaiter(error);
      throw error;
    } finally {
      select.close();
    }
  }

  private async readAll(): Promise<T[]> {
    const values: T[] = [];
    while (!this.isEmpty) {
      const event = await this.next({}, () => this.isEmpty);
      if (event !== undefined) values.push(event.data.decode());
    }
    return values;
  }

  /** Adds a source. Throws a {@link SelectError} if the source belongs to a Select, or would contain itself. */
  add(source: SelectSource<T>): void {
    if (this.#isClosed) throw new SelectError("Cannot add source: the select was closed");
    if (!((source as { watchers?: unknown } | undefined)?.watchers instanceof Set)) {
      const message = `Cannot add source: it must be a Receiver or a Select, got ${show(source)}`;
      throw misuse("ERR_INVALID_ARG_TYPE", message);
    }
    if (owners.has(source)) throw new SelectError("Cannot add source: it belongs to a select already");
    if (source instanceof Select && (source === this || source.contains(this))) {
      throw new SelectError("Cannot add source: the select would contain itself");
    }
    const watcher = (): void => this.notify(source);
    this.#members.set(source, { watcher, pending: 0 });
    owners.set(source, this);
    source.watchers.add(watcher);
    for (let missing = this.dueOf(source); missing > 0; missing--) this.notify(source);
  }

  /** Removes a source, which stays open. Throws a {@link SelectError} if it is not a source of this Select. */
  remove(source: SelectSource<T>): void {
    if (!this.#members.has(source)) {
      throw new SelectError("Cannot remove source: it does not belong to this select");
    }
    this.drop(source);
  }

  /**
   * Returns the next message. Rejects with a {@link SelectError} if there is no source, or the Select is closed; with
   * the error of a source that has ended; with a {@link TimeoutError} after `timeoutMs` milliseconds (0 never waits);
   * and with the reason of `signal`. The last two take no message. The wait keeps the program alive.
   */
  async get(options?: GetOptions): Promise<Message<T>> {
    try {
      return (await this.nextEvent(options)).data;
    } catch (error) {
      await placedAtWaiter(error);
      throw error;
    }
  }

  /** Like {@link get}, with the source beside the message. */
  async getEvent(options?: GetOptions): Promise<SelectEvent<T>> {
    try {
      return await this.nextEvent(options);
    } catch (error) {
      await placedAtWaiter(error);
      throw error;
    }
  }

  private async nextEvent(given?: GetOptions): Promise<SelectEvent<T>> {
    const options = given === undefined ? {} : readOptions("get from select", given, GET_OPTIONS);
    const event = await this.next(options, () => this.#members.size === 0);
    if (event !== undefined) return event;
    throw new SelectError(
      this.#isClosed ? "The select was closed" : "Cannot get from select: it has no sources",
    );
  }

  /**
   * The next message if there is one. For the Select this one is a source of. Throws the error a source ended with;
   * dead messages are returned. @internal
   */
  tryGet(): Message<T> | undefined {
    return this.take({ throwDead: false })?.data;
  }

  /**
   * Yields messages until no source is left, in nested Selects as well, or until `close`. Throws the error of a source
   * that has ended; a new iteration continues with the other sources.
   */
  async *[Symbol.asyncIterator](): AsyncIterableIterator<Message<T>> {
    for await (const event of this.iterEvents()) yield event.data;
  }

  /** Like the iteration, with the source beside each message. */
  async *iterEvents(): AsyncIterableIterator<SelectEvent<T>> {
    for (;;) {
      const event = await this.next({}, () => !this.hasSource());
      if (event === undefined) return;
      yield event;
    }
  }

  /** True while it has no sources. */
  get isEmpty(): boolean {
    return this.#members.size === 0;
  }

  /** True after `close`. @internal */
  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** Why no more messages can come. @internal */
  get endError(): unknown {
    return this.#isClosed ? new SelectError("The select was closed") : undefined;
  }

  /** Returns how many messages wait to be read, in all sources. */
  size(): number {
    let size = 0;
    for (const source of this.#members.keys()) size += source.size();
    return size;
  }

  /** Releases the sources, which stay open. Waiting `get`s reject with a {@link SelectError}. Idempotent. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    for (const source of [...this.#members.keys()]) this.drop(source);
    this.changed();
  }

  /** The same as {@link close}. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.close();
  }

  /** The next event. Undefined if the select is closed, or if `isOver` says that none will come. */
  private async next(options: GetOptions, isOver: () => boolean): Promise<SelectEvent<T> | undefined> {
    const event = this.take(options);
    if (event !== undefined || this.#isClosed || isOver()) return event;
    if (options.timeoutMs === 0) {
      throw new TimeoutError("Cannot get from select: nothing is queued and timeoutMs is 0");
    }
    let waiter: (() => boolean) | undefined;
    return await awaitWithin<SelectEvent<T> | undefined>(
      keepAlive,
      options,
      () => "get from select",
      (resolve, reject) => {
        waiter = () => {
          try {
            const found = this.take(options);
            if (found === undefined && !this.#isClosed && !isOver()) return false;
            resolve(found);
          } catch (error) {
            reject(error);
          }
          return true;
        };
        this.#waiters.add(waiter);
      },
      () => this.#waiters.delete(waiter as () => boolean),
    );
  }

  private take({ throwDead }: GetOptions): SelectEvent<T> | undefined {
    for (let source = this.#ready.shift(); source !== undefined; source = this.#ready.shift()) {
      (this.#members.get(source) as Member).pending -= 1;
      let data: Message<T> | undefined;
      try {
        data = source.tryGet();
      } catch (error) {
        this.afterYield(source, false);
        throw error;
      }
      if (data === undefined) {
        // The message was read elsewhere, or this entry is the source's end.
        const error = source.endError;
        if (source.isClosed) this.drop(source);
        if (error !== undefined) throw error;
        continue;
      }
      this.afterYield(source, data.isDead);
      data.receiver = source;
      if (throwDead !== false && data.isDead) data.decode();
      return { source, data };
    }
    return undefined;
  }

  /** Removes a source that can give nothing more. `isDead` if it has just reported its end. */
  private afterYield(source: SelectSource<T>, isDead: boolean): void {
    const isDone = this.#isOneShot
      ? !(source instanceof Select && source.#isOneShot && !source.isEmpty)
      : source.isClosed && source.size() === 0 && (isDead || source.endError === undefined);
    if (isDone) this.drop(source);
  }

  private drop(source: SelectSource<T>): void {
    const member = this.#members.get(source);
    if (member === undefined) return;
    source.watchers.delete(member.watcher);
    owners.delete(source);
    this.#members.delete(source);
    if (member.pending > 0) this.#ready = this.#ready.filter((each) => each !== source);
    this.changed();
  }

  /** Called when a source has a new message, or has ended. */
  private notify(source: SelectSource<T>): void {
    const member = this.#members.get(source) as Member;
    if (member.pending > 0 && member.pending >= this.dueOf(source)) {
      // Its oldest entry stands for a message that another reader took. Such entries would otherwise pile up.
      this.#ready.splice(this.#ready.indexOf(source), 1);
      member.pending -= 1;
    }
    this.#ready.push(source);
    member.pending += 1;
    this.changed();
  }

  private changed(): void {
    if (!this.#isPumping) {
      this.#isPumping = true;
      for (const waiter of this.#waiters) if (!waiter()) break;
      this.#isPumping = false;
    }
    for (const watcher of this.watchers) watcher();
  }

  /** Whether any receiver is left, even in nested Selects. */
  private hasSource(): boolean {
    for (const source of this.#members.keys()) {
      if (!(source instanceof Select) || source.hasSource()) return true;
    }
    return false;
  }

  private contains(other: Select<T>): boolean {
    for (const source of this.#members.keys()) {
      if (source === other || (source instanceof Select && source.contains(other))) return true;
    }
    return false;
  }

  /** How many entries a source may have in the ready list: its messages, and its end. */
  private dueOf(source: SelectSource<T>): number {
    return (source instanceof Select ? source.#ready.length : source.size()) + (source.isClosed ? 1 : 0);
  }
}

declare module "./message.ts" {
  interface Message<T = unknown> {
    /** The receiver that the message came through, or the source of the Select from which it was read. */
    receiver?: Receiver<T> | Select<T>;
  }
}
