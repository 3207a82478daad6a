import type { Context } from "../core/context.ts";
import { Message } from "../core/message.ts";
import { RECEIVER_OPTIONS } from "../core/receiver.ts";
import { CoreRouter, type HandlerOptions } from "../core/router.ts";
import { anyText, callback, flag, handleNumber, integer } from "../options/option-types.ts";
import { checkMadeBy, checkOwn, type OptionTable, readOptions, takeOption } from "../options/options.ts";
import type { Connector } from "./connector.ts";
import { type KeepOptions, KeptContext } from "./kept-context.ts";
import type { BuildahOptions } from "./methods/buildah.ts";
import type { DoasOptions } from "./methods/doas.ts";
import type { DockerOptions } from "./methods/docker.ts";
import type { ExecOptions } from "./methods/exec.ts";
import type { IncusOptions } from "./methods/incus.ts";
import type { JailOptions } from "./methods/jail.ts";
import type { KubectlOptions } from "./methods/kubectl.ts";
import type { LocalOptions } from "./methods/local.ts";
import type { LxcOptions } from "./methods/lxc.ts";
import type { LxdOptions } from "./methods/lxd.ts";
import type { PodmanOptions } from "./methods/podman.ts";
import type { SetnsOptions } from "./methods/setns.ts";
import type { SshOptions } from "./methods/ssh.ts";
import type { SuOptions } from "./methods/su.ts";
import type { SudoOptions } from "./methods/sudo.ts";
import type { ThreadOptions } from "./methods/thread.ts";

const HANDLER_OPTIONS: OptionTable<HandlerOptions> = { ...RECEIVER_OPTIONS, service: flag };
const CONTEXT_ID = integer(0, 0xffffffff);

/**
 * A router with connection methods: what the program's router and those of its contexts have in common.
 *
 * A connection method resolves with the new context as soon as it can be called. The context ends by its `shutdown()`, with
 * the router, and with the context given as `via`. A method rejects with
 *
 * - a TypeError or RangeError for wrong options, before anything is started;
 * - a {@link StreamError} or one of its subclasses (PasswordError, HostKeyError, EofError), whose `details` say how far the
 *   connect came;
 * - a TimeoutError after `timeoutMs` (30,000 by default);
 * - a CancelledError if `signal` aborts or the router is shut down meanwhile.
 */
export abstract class ConnectingRouter extends CoreRouter {
  /** @internal */
  protected abstract readonly connector: Connector;

  /**
   * Starts a context as a child process of this one, or of the context given as `via`, as the same user:
   * docs/connections.md#local
   */
  local(options: LocalOptions = {}): Promise<Context> {
    return this.connector.start("local", options);
  }

  /** Starts a context on another machine with the real ssh(1), `~/.ssh/config` included: docs/connections.md#ssh */
  ssh(options: SshOptions): Promise<Context> {
    return this.connector.start("ssh", options);
  }

  /** Starts a context as another user with sudo(8): docs/connections.md#sudo */
  sudo(options: SudoOptions = {}): Promise<Context> {
    return this.connector.start("sudo", options);
  }

  /** Starts a context as another user with su(1): docs/connections.md#su */
  su(options: SuOptions = {}): Promise<Context> {
    return this.connector.start("su", options);
  }

  /** Starts a context as another user with doas(1): docs/connections.md#doas */
  doas(options: DoasOptions = {}): Promise<Context> {
    return this.connector.start("doas", options);
  }

  /**
   * Starts a context in a running Docker container with docker-exec(1), or, given an `image`, in a new container that docker-run(1) removes
   * when the context ends: docs/connections.md#docker
   */
  docker(options: DockerOptions): Promise<Context> {
    return this.connector.start("docker", options);
  }

  /** The same as {@link docker} with podman-exec(1) and podman-run(1): docs/connections.md#podman */
  podman(options: PodmanOptions): Promise<Context> {
    return this.connector.start("podman", options);
  }

  /** Starts a context in a working container, one that `buildah from` has made, with buildah-run(1). */
  buildah(options: BuildahOptions): Promise<Context> {
    return this.connector.start("buildah", options);
  }

  /**
   * Starts a context in a container of a Kubernetes pod with `kubectl exec`. The kubeconfig of this user says which
   * cluster.
   */
  kubectl(options: KubectlOptions): Promise<Context> {
    return this.connector.start("kubectl", options);
  }

  /** Starts a context in a running container of classic LXC with lxc-attach(1). */
  lxc(options: LxcOptions): Promise<Context> {
    return this.connector.start("lxc", options);
  }

  /** Starts a context in a running LXD instance with `lxc exec`, LXD's own client. */
  lxd(options: LxdOptions): Promise<Context> {
    return this.connector.start("lxd", options);
  }

  /** Starts a context in a running Incus instance with `incus exec`. */
  incus(options: IncusOptions): Promise<Context> {
    return this.connector.start("incus", options);
  }

  /** Starts a context in a FreeBSD jail with jexec(8). */
  jail(options: JailOptions): Promise<Context> {
    return this.connector.start("jail", options);
  }

  /**
   * Starts a context in the namespaces of a container with nsenter(1), for tools that cannot run commands themselves.
   * Needs root.
   */
  setns(options: SetnsOptions): Promise<Context> {
    return this.connector.start("setns", options);
  }

  /** Starts a context with any command that runs its further arguments: docs/connections.md#exec */
  exec(options: ExecOptions): Promise<Context> {
    return this.connector.start("exec", options);
  }

  /**
   * Starts a context as a worker thread of this process, or of the process of the context given as `via`:
   * docs/connections.md#thread
   */
  thread(options: ThreadOptions = {}): Promise<Context> {
    return this.connector.start("thread", options);
  }

  /**
   * Keeps a context: `connect` connects it, again whenever it is lost. Returns at once. docs/connections.md#contexts-that-are-kept
   *
   * ```ts
   * const web = router.keep(() => router.ssh({ hostname: "web1" }), { retries: 10, backoffMs: 500 });
   * await web.with({ timeoutMs: 60_000 }).call(fs.promises.writeFile, "/srv/motd", "Hello");
   * ```
   */
  keep(connect: () => Promise<Context>, options?: KeepOptions): KeptContext {
    return new KeptContext(this, connect, () => this.connector.isShutDown, options);
  }

  /** @internal */
  override addHandler(fn: (message: Message) => void, options: HandlerOptions = {}): number {
    const what = "add a handler";
    takeOption(what, "the first argument", fn, callback);
    const taken = readOptions(what, options, HANDLER_OPTIONS);
    checkOwn(what, "respondent", taken.respondent, this);
    return super.addHandler(fn, taken);
  }

  /**
   * Returns the context with this id: the same object every time while the context is reachable. `name` is the name
   * of a context that is not known yet. Throws a TypeError or RangeError if `id` is not the id of a context.
   */
  override contextById(id: number, name?: string): Context {
    const known = this.contexts.get(id);
    if (known !== undefined) return known;
    const what = "find a context by its id";
    takeOption(what, "the id", id, CONTEXT_ID);
    if (name !== undefined) takeOption(what, "the name", name, anyText);
    return super.contextById(id, name);
  }

  /**
   * Removes a handler. Unknown handles are ignored. Throws a TypeError or RangeError if the argument is not a handle.
   */
  override delHandler(handle: number): void {
    super.delHandler(takeOption("remove a handler", "the handle", handle, handleNumber));
  }

  /**
   * Sends a message on its way. A message that cannot be delivered is answered by a dead message. Throws a TypeError for anything but a
   * {@link Message}.
   */
  override route(message: Message): void {
    checkMadeBy(Message, "route a message", "the first argument", "a Message", message);
    super.route(message);
  }

  /**
   * Ends the contexts that were started through this router, even if they hang. Resolves when they are reaped.
   * Idempotent, never rejects.
   */
  abstract shutdown(): Promise<void>;

  /** The same as {@link shutdown}. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.shutdown();
  }

  /** @internal */
  override async shutdownContext(context: Context, wait: boolean): Promise<void> {
    if (context.goneReason !== undefined) return;
    const ended = this.endContext(context);
    if (!wait) return;
    this.broker.hold();
    await ended;
    this.broker.release();
  }

  /** Ends it, hung or not; resolves when it is gone. Never rejects. @internal */
  protected abstract endContext(context: Context): Promise<void>;

  /** Its process is its parent's: only that can end it if it hangs, and knows when it is reaped. @internal */
  protected async endThrough(parent: Context, context: Context): Promise<void> {
    await this.connector.endBehind(parent, context.contextId);
  }

  /** What `super.shutdownContext` does, for subclasses' methods. @internal */
  protected endByMessage(context: Context): Promise<void> {
    return super.shutdownContext(context, true);
  }

  /** Whether one is the other or above it, as far as this router knows the tree. @internal */
  protected isAtOrAbove(contextId: number, belowId: number): boolean {
    let context: Context | undefined = super.contextById(belowId);
    while (context !== undefined && context.contextId !== contextId) context = context.via;
    return context !== undefined;
  }
}
