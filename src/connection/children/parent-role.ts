import { deadReason } from "../../core/message.ts";
import type { Link } from "../../links/link.ts";
import { ModuleForwarder } from "../../loader/module-forwarder.ts";
import { misuse } from "../../options/options.ts";
import type { FrameRouter } from "../../routing/frame-router.ts";
import { IdGrants } from "../../routing/id-grants.ts";
import { Pressure } from "../../routing/pressure.ts";
import { refusalOfRoute } from "../../routing/route-bounds.ts";
import { RouteMonitor } from "../../routing/route-monitor.ts";
import { decodeValue } from "../../wire/cbor/decoder.ts";
import { encodeValue } from "../../wire/cbor/encoder.ts";
import { type Frame, joinBody } from "../../wire/frame.ts";
import { Handle } from "../../wire/handles.ts";
import { Secret } from "../../wire/values/secret.ts";
import { recordOfConnectError } from "../failures/connect-error-record.ts";
import { type ConnectOptions, readConnectOptions } from "../methods/method.ts";
import { methods } from "../methods/methods.ts";
import { type ChildIdentity, Children } from "./children.ts";
import { FrameTalk } from "./frame-talk.ts";
import { RuntimeRelay } from "./runtime-relay.ts";

/**
 * How long a person or a vault may take to give a password. Usually the timeout of the connect ends the wait
 * earlier.
 */
const SECRET_TIMEOUT_MS = 10 * 60_000;

/** How long a detaching context waits until the bytes queued for the parent have been sent. */
const DETACH_MS = 2000;
/** A context must end within three seconds, and its children must be gone before that. */
const CHILD_GRACE_MS = 1200;
/** Running connects of the main thread. It makes at most 32 at once. */
const MAX_EXPECTED = 10_000;

/** The most characters that an error shows of the reason why there is no password. */
const MAX_REASON_CHARACTERS = 1000;

/**
 * The body of CONNECT_CHILD: [method, options, identity, handle to ask for the password, or 0, handle for the
 * progress of a runtime].
 */
export type ConnectRequest = readonly [
  method: string,
  options: Readonly<Record<string, unknown>>,
  identity: ChildIdentity,
  passwordHandle: number,
  progressHandle?: number,
];

/** The broker thread's link to the parent. */
export interface ParentEnd {
  /** Writes the queued bytes to the operating system. */
  flush(): void;
  abort(reason: string): void;
  /** Reads the output of this process and sends it. */
  flushOutput(): void;
  /** The interval from the options of the program's `Router`. */
  readonly keepaliveMs: number;
}

/**
 * The part of the broker thread that a context with children needs: it starts and ends children, keeps their
 * routes, and forwards modules. It is evaluated when it is first needed. docs/architecture.md#parents
 */
export class ParentRole {
  readonly #router: FrameRouter;
  readonly #main: Link;
  readonly #parent: ParentEnd;
  readonly #grants: IdGrants;
  /**
   * Contexts that the main thread has asked for, from this process or one below, and that have not started
   * yet.
   */
  readonly #ofMain: Set<number> = new Set();
  readonly #children: Children;
  readonly #monitor: RouteMonitor;
  readonly #forwarder: ModuleForwarder;
  readonly #talk: FrameTalk;
  /** Brings nodes to children without node. */
  readonly #runtimes: RuntimeRelay;

  /**
   * `main` leads to the main thread and `parent` to the parent. `findModule` returns, by hash, the packed
   * bytes of a module that has passed through this process.
   */
  constructor(
    router: FrameRouter,
    main: Link,
    parent: ParentEnd,
    findModule: (hash: string) => Uint8Array | undefined,
  ) {
    this.#router = router;
    this.#main = main;
    this.#parent = parent;
    this.#talk = new FrameTalk(router);
    this.#runtimes = new RuntimeRelay(router, this.#talk);
    new Pressure(router);
    this.#children = new Children(router, CHILD_GRACE_MS, parent.keepaliveMs, (contextId, { name, ready }) =>
      this.#monitor.announce(contextId, name, ready.nodeVersion),
    );
    this.#forwarder = new ModuleForwarder(router, findModule);
    this.#grants = new IdGrants(router);
    this.#monitor = new RouteMonitor(router, {
      // The master decides in the end, but this context must not accept meanwhile what the master will
      // refuse.
      mayClaim: (contextId, from) => this.#grants.mayClaim(contextId, from),
      onRouteAdded: (contextId, ...rest) => {
        if (this.#ofMain.delete(contextId)) this.tellMain(Handle.ADD_ROUTE, [contextId, ...rest]);
      },
      onFarewell: (contextId, reason) => this.#children.noteFarewell(contextId, reason),
      onLostAbove: (contextId, reason) => this.tellChildren(contextId, reason),
      beforeMainThread: () => this.#parent.flush(),
    });
    this.watch(router);
    router.listen((frame) => void this.onDetaching(frame), { handle: Handle.DETACHING, isService: true });
    const policy = ({ authId }: Frame): boolean => router.hasAuthority(authId);
    router.listen((frame) => void this.connect(frame), {
      handle: Handle.CONNECT_CHILD,
      policy,
      isService: true,
    });
    router.listen((frame) => void this.endChild(frame), {
      handle: Handle.END_CHILD,
      policy,
      isService: true,
    });
  }

  /** Records who may claim which ids, and which contexts the main thread has asked for. */
  private watch(router: FrameRouter): void {
    const { onForwarded } = router;
    router.onForwarded = (frame, from) => {
      onForwarded?.(frame, from);
      const granted = this.#grants.note(frame, from);
      if (granted !== undefined && from.kind === "inner") this.expectForMain(granted);
    };
  }

  private expectForMain(contextId: number): void {
    this.#ofMain.add(contextId);
    // Nobody reports a connect that failed below, so old entries are dropped.
    if (this.#ofMain.size > MAX_EXPECTED) this.#ofMain.delete(this.#ofMain.values().next().value as number);
  }

  /** Forwards modules to the context they are for. */
  forwardModules(targetId: number, modules: readonly (readonly [string, string])[]): void {
    this.#forwarder.forward(targetId, modules);
  }

  /** Ends all children. Resolves when they are reaped. */
  endChildren(): Promise<void> {
    return this.#children.endAll();
  }

  /** Replies with {connected: [pid, platform, architecture, argv]} or {failed: the record of the error}. */
  private async connect(frame: Frame): Promise<void> {
    try {
      const [name, options, identity, passwordHandle, progressHandle] = decodeValue(
        joinBody(frame),
      ) as ConnectRequest;
      const tooMany = refusalOfRoute(this.#router, undefined);
      if (tooMany !== undefined) throw new RangeError(`Cannot start a context: ${tooMany}`);
      if (frame.srcId === this.#router.contextId) this.expectForMain(identity.contextId);
      const method = methods[name];
      if (method === undefined && name !== "thread")
        throw new TypeError(`there is no connection method ${name}`);
      const complete: ConnectOptions & { password?: unknown; answers?: unknown } = { ...options };
      if (passwordHandle !== 0) complete.password = () => this.askPassword(frame.srcId, passwordHandle);
      if (complete.answers !== undefined) {
        // They come as handles, by their questions.
        const ask = ([question, handle]: [string, unknown]) =>
          [question, () => this.askPassword(frame.srcId, handle as number)] as const;
        complete.answers = Object.fromEntries(Object.entries(Object(complete.answers)).map(ask));
      }
      // Checked again, whoever has checked them before: no option may break this thread.
      const checked = readConnectOptions(name, complete, method?.options);
      const provisioner = this.#runtimes.openProvisioner(checked, frame.srcId, progressHandle);
      const { ready, argv } = await this.#children.start(name, checked, identity, provisioner);
      this.#talk.answer(frame, { connected: [ready.pid, ready.platform, ready.arch, argv] });
    } catch (error) {
      this.#talk.answer(frame, { failed: recordOfConnectError(error) });
    }
  }

  /** The body is [context id]. Replies when that context is reaped. */
  private async endChild(frame: Frame): Promise<void> {
    const [contextId] = decodeValue(joinBody(frame)) as [number];
    await this.#children.end(contextId);
    this.#talk.answer(frame, null);
  }

  /** A child of this context asks to be detached, or the main thread asks that this context be detached. */
  private async onDetaching(frame: Frame): Promise<void> {
    if (frame.srcId !== this.#router.contextId) {
      this.#children.detaching(frame);
      return;
    }
    const refusal = await this.askParentToLetGo();
    if (refusal !== undefined) {
      this.#router.answerDead(frame, refusal);
      return;
    }
    await this.leaveParent();
    this.#talk.answer(frame, [...this.#router.routedIds.keys()]);
  }

  /**
   * Resolves with the reason if the parent refuses. If the parent is lost meanwhile, this process ends as
   * usual.
   */
  private askParentToLetGo(): Promise<string | undefined> {
    return new Promise((resolve) => {
      const parentId = this.#router.parentIds[0] as number;
      const replyTo = this.#router.listen(
        (reply) => resolve(reply.replyTo === Handle.IS_DEAD ? deadReason(reply) : undefined),
        { isPersistent: false, respondentId: parentId },
      );
      this.#talk.send(parentId, Handle.DETACHING, replyTo, null);
    });
  }

  /**
   * Sends a farewell. The parent answers by closing the link, and from then on no context is above this one.
   */
  private async leaveParent(): Promise<void> {
    const router = this.#router;
    const parentIds = router.parentIds as number[];
    const reason = `Context ${router.contextId} was detached`;
    const closed = new Promise<void>((resolve) => {
      router.onParentLost = () => resolve();
    });
    this.#parent.flushOutput();
    this.#talk.send(parentIds[0] as number, Handle.DEL_ROUTE, 0, [router.contextId, "was detached"]);
    const timer = setTimeout(() => this.#parent.abort(reason), DETACH_MS);
    await closed;
    clearTimeout(timer);
    for (const id of parentIds) this.tellChildren(id, reason);
    parentIds.length = 0;
    this.#monitor.forgetAbove(reason);
    const lost = [...router.handlers.respondentIds].filter((id) => router.peerOf(id) === undefined);
    router.endRespondents(lost, reason);
    // Output that was not read because the parent was slow: it goes nowhere now, so that no writer has to
    // wait.
    this.#parent.flushOutput();
  }

  private tellChildren(goneId: number, reason: string): void {
    for (const id of this.#router.routedIds.keys()) {
      if (this.#router.isImmediateChild(id)) this.#talk.send(id, Handle.DEL_ROUTE, 0, [goneId, reason]);
    }
  }

  /** The requester keeps its passwords until a tool asks for them. */
  private async askPassword(contextId: number, handle: number): Promise<Secret> {
    const late = "Cannot connect: no password";
    const value = decodeValue(
      joinBody(await this.#talk.ask(contextId, handle, null, SECRET_TIMEOUT_MS, late)),
    );
    if (value instanceof Secret) return value;
    throw misuse("ERR_INVALID_ARG_VALUE", String(value).slice(0, MAX_REASON_CHARACTERS));
  }

  /** Sends past this thread's own handlers, which are for messages from children. */
  private tellMain(handle: number, value: unknown): void {
    // First sends what contexts above must know: the main thread may write to the parent itself and mention
    // the context.
    this.#parent.flush();
    this.#main.send(this.#router.frame(this.#router.contextId, handle, encodeValue(value)));
  }
}
