import { inflateRawSync } from "node:zlib";
import type { FrameRouter } from "../core/frame-router.ts";
import { IdGrants } from "../core/id-grants.ts";
import type { Link } from "../core/link.ts";
import { deadReason } from "../core/message.ts";
import { misuse } from "../core/options.ts";
import { refusalOfRoute } from "../core/route-bounds.ts";
import { RouteMonitor } from "../core/route-monitor.ts";
import { TimeoutError } from "../errors.ts";
import { ModuleForwarder } from "../loader/module-forwarder.ts";
import { decodeValue } from "../wire/decoder.ts";
import { encodeValue } from "../wire/encoder.ts";
import { Encoding, type Frame, joinBody } from "../wire/frame.ts";
import { Handle } from "../wire/handles.ts";
import { Secret } from "../wire/secret.ts";
import { messageOf } from "../wire/thrown.ts";
import { type ChildIdentity, Children, type StartedChild } from "./children.ts";
import { recordOfConnectError } from "./connect-error.ts";
import { type ConnectOptions, readConnectOptions } from "./method.ts";
import { methods } from "./methods.ts";
import { Pressure } from "./pressure.ts";
import type { HopRuntimes } from "./runtime/hop-part.ts";
import { GET_RUNTIME, type OpenProvisioner, type ProvisionMode } from "./runtime/plan.ts";

/** How long a person or a vault may take to answer; the connect's own timeout is what usually ends it. */
const SECRET_TIMEOUT_MS = 10 * 60_000;

/** How long what is queued for the parent may take to get there, before a detached context leaves without it. */
const DETACH_MS = 2000;
/** A context has three seconds in all, design.md section 10: those below it must be gone before. */
const CHILD_GRACE_MS = 1200;
/** Connects of the main thread under way; it has at most 32 at once. */
const MAX_EXPECTED = 10_000;

/** How much is shown of why there is no password. */
const MAX_REASON_CHARACTERS = 1000;

/** How long the program may take to pack a runtime, or one above to send a part of it. */
const RUNTIME_MS = 5 * 60_000;
/** Requests for parts of runtimes, of one context below: it asks for some ahead. */
const MAX_READS = 16;

/** [method, options, identity, handle to ask for the password, or 0, handle that is told of a runtime on its way]: what CONNECT_CHILD carries. */
export type ConnectRequest = readonly [
  method: string,
  options: Readonly<Record<string, unknown>>,
  identity: ChildIdentity,
  passwordHandle: number,
  progressHandle?: number,
];

/** The broker thread's link to the parent. */
export interface ParentEnd {
  /** Hands what is queued to the operating system. */
  flush(): void;
  abort(reason: string): void;
  /** Reads what this process has printed, and sends it. */
  flushOutput(): void;
  /** Of the program's `Router`. */
  readonly keepaliveMs: number;
}

/**
 * What the broker thread of a child does once the child has children: starts and ends them, keeps their routes, forwards modules. Evaluated
 * there the first time it is needed; leaves do without. docs/architecture.md#parents
 */
export class ParentRole {
  readonly #router: FrameRouter;
  readonly #main: Link;
  readonly #parent: ParentEnd;
  readonly #grants: IdGrants;
  /** Contexts that the main thread has asked for, here or below, and that have not started yet. */
  readonly #ofMain: Set<number> = new Set();
  readonly #children: Children;
  readonly #monitor: RouteMonitor;
  readonly #forwarder: ModuleForwarder;
  /** How children without node get one: the code for that comes with the first. */
  #runtimes: Promise<HopRuntimes> | undefined;
  readonly #reads: Map<number, number> = new Map();

  /** `main` leads to the main thread, `parent` to the parent; `findModule` gives the packed bytes that have passed through this process, by hash. */
  constructor(
    router: FrameRouter,
    main: Link,
    parent: ParentEnd,
    findModule: (hash: string) => Uint8Array | undefined,
  ) {
    this.#router = router;
    this.#main = main;
    this.#parent = parent;
    new Pressure(router);
    this.#children = new Children(router, CHILD_GRACE_MS, parent.keepaliveMs);
    this.#forwarder = new ModuleForwarder(router, findModule);
    this.#grants = new IdGrants(router);
    this.#monitor = new RouteMonitor(router, {
      // The master has the last word; but what it refuses must not be believed here until then.
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
    router.listen((frame) => void this.readRuntime(frame), { handle: GET_RUNTIME, isService: true });
    router.listen((frame) => void this.endChild(frame), {
      handle: Handle.END_CHILD,
      policy,
      isService: true,
    });
  }

  /** Notes who may claim what, and which contexts the main thread has asked for. */
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
    // Of a connect that failed below nobody tells.
    if (this.#ofMain.size > MAX_EXPECTED) this.#ofMain.delete(this.#ofMain.values().next().value as number);
  }

  /** Passes modules on to the context they are for. */
  forwardModules(targetId: number, modules: readonly (readonly [string, string])[]): void {
    this.#forwarder.forward(targetId, modules);
  }

  /** Ends every child; resolves when they are reaped. */
  endChildren(): Promise<void> {
    return this.#children.endAll();
  }

  /** Answers {connected: [pid, platform, architecture, argv]} or {failed: the record of the error}. */
  private async connect(frame: Frame): Promise<void> {
    try {
      const [name, options, identity, passwordHandle, progressHandle] = decodeValue(
        joinBody(frame),
      ) as ConnectRequest;
      const tooMany = refusalOfRoute(this.#router, undefined);
      if (tooMany !== undefined) throw new RangeError(`Cannot start a context: ${tooMany}`);
      if (frame.srcId === this.#router.contextId) this.expectForMain(identity.contextId);
      const onConnected = (started: StartedChild): void => {
        this.#monitor.announce(identity.contextId, started.name, started.ready.nodeVersion);
      };
      if (name === "thread") {
        const checked = readConnectOptions("thread", options);
        this.answerStarted(frame, await this.#children.startThreadChild(checked, identity, onConnected));
        return;
      }
      const method = methods[name];
      if (method === undefined) throw new TypeError(`there is no connection method ${name}`);
      const complete: ConnectOptions & { password?: unknown } = { ...options };
      if (passwordHandle !== 0) complete.password = () => this.askPassword(frame.srcId, passwordHandle);
      // Once more, whoever has checked them before: nothing in this thread may fail because of an option.
      const checked = readConnectOptions(name, complete, method.options);
      const provisioner = this.openProvisioner(checked, frame.srcId, progressHandle);
      this.answerStarted(
        frame,
        await this.#children.start(method, checked, identity, onConnected, provisioner),
      );
    } catch (error) {
      this.answer(frame, { failed: recordOfConnectError(error) });
    }
  }

  /** How a child of this context gets a node, if the program wants that. */
  private openProvisioner(
    { provision }: ConnectOptions,
    requesterId: number,
    progressHandle = 0,
  ): OpenProvisioner | undefined {
    if (provision === false) return undefined;
    return async () => {
      // Who was detached has nobody to get one from.
      if (this.#router.parentIds.length === 0) return undefined;
      const mode = await this.ask(0, ["mode", provision ?? null]);
      if (mode !== "cache" && mode !== "memory") return undefined;
      const runtimes = await this.runtimes();
      return runtimes.provisioner(mode as ProvisionMode, (progress) => {
        const figures = progress === undefined ? [] : [progress.sentBytes, progress.totalBytes];
        if (progressHandle !== 0) this.send(requesterId, progressHandle, 0, figures);
      });
    };
  }

  private runtimes(): Promise<HopRuntimes> {
    this.#runtimes ??= this.ask(0, ["code"]).then((packed) => {
      // biome-ignore lint/security/noGlobalEval: it is the library's own code; indirect, in the global scope
      const evaluate = eval;
      const load = evaluate(inflateRawSync(packed as Uint8Array).toString()) as (
        require: unknown,
        shared: object,
      ) => { HopRuntimes: typeof HopRuntimes };
      const { HopRuntimes: Runtimes } = load(require, {});
      return new Runtimes(
        (contextId, request) => this.ask(contextId, request),
        () => this.#router.parentIds[0] as number,
      );
    });
    return this.#runtimes;
  }

  /** ["read", hash, length, offset] of a context below, whose children get a runtime by way of this one. */
  private async readRuntime(frame: Frame): Promise<void> {
    const { srcId } = frame;
    const reads = this.#reads.get(srcId) ?? 0;
    this.#reads.set(srcId, reads + 1);
    try {
      const [kind, hash, packedBytes, offset] = decodeValue(joinBody(frame)) as unknown[];
      const isRead = kind === "read" && typeof hash === "string" && hash.length <= 64 && reads < MAX_READS;
      if (!isRead || !Number.isSafeInteger(packedBytes) || !Number.isSafeInteger(offset)) {
        throw new RangeError("Cannot read a runtime: the request is none, or there are too many");
      }
      const runtimes = await this.runtimes();
      const bytes = await runtimes.read({ hash, packedBytes: packedBytes as number }, offset as number);
      // Not faster than they are taken.
      await this.#router.peerOf(srcId)?.link.drained?.();
      this.answer(frame, bytes);
    } catch (error) {
      this.#router.answerDead(frame, messageOf(error));
    } finally {
      const left = (this.#reads.get(srcId) ?? 1) - 1;
      if (left === 0) this.#reads.delete(srcId);
      else this.#reads.set(srcId, left);
    }
  }

  /** Asks one above at GET_RUNTIME. */
  private ask(contextId: number, request: readonly unknown[]): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#router.unlisten(replyTo);
        reject(new TimeoutError(`Cannot get a runtime: no answer within ${RUNTIME_MS} ms`));
      }, RUNTIME_MS);
      const replyTo = this.#router.listen(
        (reply) => {
          clearTimeout(timer);
          if (reply.replyTo === Handle.IS_DEAD) reject(new Error(deadReason(reply)));
          else resolve(decodeValue(joinBody(reply)));
        },
        { isPersistent: false, respondentId: contextId },
      );
      this.send(contextId, GET_RUNTIME, replyTo, request);
    });
  }

  private answerStarted(frame: Frame, { ready, argv }: StartedChild): void {
    this.answer(frame, { connected: [ready.pid, ready.platform, ready.arch, argv] });
  }

  /** [context id]: answers when it is reaped. */
  private async endChild(frame: Frame): Promise<void> {
    const [contextId] = decodeValue(joinBody(frame)) as [number];
    await this.#children.end(contextId);
    this.answer(frame, null);
  }

  /** A child of this context asks to be let go, or its main thread, that this context be. */
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
    this.answer(frame, [...this.#router.routedIds.keys()]);
  }

  /** Why it does not; a parent that is lost meanwhile ends this process, as ever. */
  private askParentToLetGo(): Promise<string | undefined> {
    return new Promise((resolve) => {
      const parentId = this.#router.parentIds[0] as number;
      const replyTo = this.#router.listen(
        (reply) => resolve(reply.replyTo === Handle.IS_DEAD ? deadReason(reply) : undefined),
        { isPersistent: false, respondentId: parentId },
      );
      this.send(parentId, Handle.DETACHING, replyTo, null);
    });
  }

  /** Says farewell, which the parent answers by closing the link, and from then on has nobody above. */
  private async leaveParent(): Promise<void> {
    const router = this.#router;
    const parentIds = router.parentIds as number[];
    const reason = `Context ${router.contextId} was detached`;
    const closed = new Promise<void>((resolve) => {
      router.onParentLost = () => resolve();
    });
    this.#parent.flushOutput();
    this.send(parentIds[0] as number, Handle.DEL_ROUTE, 0, [router.contextId, "was detached"]);
    const timer = setTimeout(() => this.#parent.abort(reason), DETACH_MS);
    await closed;
    clearTimeout(timer);
    for (const id of parentIds) this.tellChildren(id, reason);
    parentIds.length = 0;
    this.#monitor.forgetAbove(reason);
    const lost = [...router.handlers.respondentIds].filter((id) => router.peerOf(id) === undefined);
    router.endRespondents(lost, reason);
    // What was not read because the parent was slow: now it goes nowhere, and nobody has to wait.
    this.#parent.flushOutput();
  }

  private tellChildren(goneId: number, reason: string): void {
    for (const id of this.#router.routedIds.keys()) {
      if (this.#router.isImmediateChild(id)) this.send(id, Handle.DEL_ROUTE, 0, [goneId, reason]);
    }
  }

  /** The requester keeps its passwords until they are asked for. */
  private askPassword(contextId: number, handle: number): Promise<Secret> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#router.unlisten(replyTo);
        reject(new TimeoutError(`Cannot connect: no password within ${SECRET_TIMEOUT_MS} ms`));
      }, SECRET_TIMEOUT_MS);
      const replyTo = this.#router.listen(
        (reply) => {
          clearTimeout(timer);
          const value = decodeValue(joinBody(reply));
          if (value instanceof Secret) resolve(value);
          else reject(misuse("ERR_INVALID_ARG_VALUE", String(value).slice(0, MAX_REASON_CHARACTERS)));
        },
        { isPersistent: false, respondentId: contextId },
      );
      this.send(contextId, handle, replyTo, null);
    });
  }

  private answer(frame: Frame, value: unknown): void {
    if (frame.replyTo !== 0) this.send(frame.srcId, frame.replyTo, 0, value);
  }

  private send(dstId: number, handle: number, replyTo: number, value: unknown): void {
    this.#router.routeFrame(this.frame(dstId, handle, replyTo, value));
  }

  /** Past this thread's own handlers, which are for what comes from children. */
  private tellMain(handle: number, value: unknown): void {
    // What those above are told of it goes first: the main thread may write to the parent itself, and speak of the context.
    this.#parent.flush();
    this.#main.send(this.frame(this.#router.contextId, handle, 0, value));
  }

  private frame(dstId: number, handle: number, replyTo: number, value: unknown): Frame {
    const { contextId } = this.#router;
    return {
      encoding: Encoding.CBOR,
      dstId,
      srcId: contextId,
      authId: contextId,
      handle,
      replyTo,
      body: encodeValue(value),
    };
  }
}
