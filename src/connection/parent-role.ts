import type { FrameRouter, Peer } from "../core/frame-router.ts";
import { RouteMonitor } from "../core/route-monitor.ts";
import { TimeoutError } from "../errors.ts";
import { ModuleForwarder } from "../loader/module-forwarder.ts";
import { decodeValue } from "../wire/decoder.ts";
import { encodeValue } from "../wire/encoder.ts";
import { Encoding, type Frame, joinBody } from "../wire/frame.ts";
import { Handle } from "../wire/handles.ts";
import { Secret } from "../wire/secret.ts";
import { type ChildIdentity, Children, type StartedChild } from "./children.ts";
import { recordOfConnectError } from "./connect-error.ts";
import type { ConnectOptions } from "./method.ts";
import { methods } from "./methods.ts";

/** How long a person or a vault may take to answer; the connect's own timeout is what usually ends it. */
const SECRET_TIMEOUT_MS = 10 * 60_000;

/** A context has three seconds in all, design.md section 10: those below it must be gone before. */
const CHILD_GRACE_MS = 1200;
const KEEPALIVE_MS = 15_000;
/** Connects behind this context that are under way, as far as is known here: of one that failed nobody tells. */
const MAX_EXPECTED = 10_000;

/** [method, options, identity, handle to ask for the password, or 0]: what CONNECT_CHILD carries. */
export type ConnectRequest = readonly [
  method: string,
  options: Readonly<Record<string, unknown>>,
  identity: ChildIdentity,
  passwordHandle: number,
];

/**
 * What the broker thread of a child does once the child has children: starts and ends them, keeps their routes, forwards modules. Evaluated
 * there the first time it is needed; leaves do without. docs/architecture.md#parents
 */
export class ParentRole {
  readonly #router: FrameRouter;
  readonly #children: Children;
  readonly #monitor: RouteMonitor;
  readonly #forwarder: ModuleForwarder;
  /** Ids of contexts that are being started behind this one, and in which context. */
  readonly #expected: Map<number, number> = new Map();

  /** `findModule` gives the packed bytes that have passed through this process, by hash. */
  constructor(router: FrameRouter, findModule: (hash: string) => Uint8Array | undefined) {
    this.#router = router;
    this.#children = new Children(router, CHILD_GRACE_MS, KEEPALIVE_MS);
    this.#forwarder = new ModuleForwarder(router, findModule);
    this.#monitor = new RouteMonitor(router, {
      mayClaim: (contextId, from) => this.mayClaim(contextId, from),
      onFarewell: (contextId, reason) => this.#children.noteFarewell(contextId, reason),
    });
    const { onForwarded } = router;
    router.onForwarded = (frame, from) => {
      onForwarded?.(frame, from);
      if (frame.handle === Handle.CONNECT_CHILD && router.hasAuthority(frame.authId)) this.expectChild(frame);
    };
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

  /** Passes modules on to the context they are for. */
  forwardModules(targetId: number, modules: readonly (readonly [string, string])[]): void {
    this.#forwarder.forward(targetId, modules);
  }

  /** Ends every child; resolves when they are reaped. */
  endChildren(): Promise<void> {
    return this.#children.endAll();
  }

  /** A request on its way to a context below: the id in it will come back as that context's claim. */
  private expectChild(frame: Frame): void {
    try {
      const [, , identity] = decodeValue(joinBody(frame)) as ConnectRequest;
      this.#expected.set(identity.contextId, frame.dstId);
      const [oldest] = this.#expected.keys();
      if (this.#expected.size > MAX_EXPECTED) this.#expected.delete(oldest as number);
    } catch {
      // Whom it is for will answer it.
    }
  }

  /** An id from elsewhere in the tree would let a child speak for that context to all that is here. */
  private mayClaim(contextId: number, from: Peer): boolean {
    const parentId = this.#expected.get(contextId);
    if (parentId === undefined || this.#router.peerOf(parentId) !== from) return false;
    return this.#expected.delete(contextId);
  }

  /** Answers [name, node version, [pid, platform, architecture, argv]], or the record of the error. */
  private async connect(frame: Frame): Promise<void> {
    try {
      const [name, options, identity, passwordHandle] = decodeValue(joinBody(frame)) as ConnectRequest;
      const onConnected = (started: StartedChild): void => {
        this.#monitor.announce(identity.contextId, started.name);
      };
      if (name === "thread") {
        this.answerStarted(frame, this.#children.startThread(options, identity, onConnected));
        return;
      }
      const method = methods[name];
      if (method === undefined) throw new TypeError(`there is no connection method ${name}`);
      const complete: ConnectOptions & { password?: unknown } = { ...options };
      if (passwordHandle !== 0) complete.password = () => this.askPassword(frame.srcId, passwordHandle);
      this.answerStarted(frame, await this.#children.start(method, complete, identity, onConnected));
    } catch (error) {
      this.answer(frame, { failed: recordOfConnectError(error) });
    }
  }

  private answerStarted(frame: Frame, { name, ready, argv }: StartedChild): void {
    const { nodeVersion, pid, platform, arch } = ready;
    this.answer(frame, { connected: [name, nodeVersion, [pid, platform, arch, argv]] });
  }

  /** [context id]: answers when it is reaped. */
  private async endChild(frame: Frame): Promise<void> {
    const [contextId] = decodeValue(joinBody(frame)) as [number];
    await this.#children.end(contextId);
    this.answer(frame, null);
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
          const value = reply.replyTo === Handle.IS_DEAD ? undefined : decodeValue(joinBody(reply));
          if (value instanceof Secret) resolve(value);
          else reject(new Error("the password was not given"));
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
    const { contextId } = this.#router;
    this.#router.routeFrame({
      encoding: Encoding.CBOR,
      dstId,
      srcId: contextId,
      authId: contextId,
      handle,
      replyTo,
      body: encodeValue(value),
    });
  }
}
