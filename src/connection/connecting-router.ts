import type { Context } from "../core/context.ts";
import { Message } from "../core/message.ts";
import { anyText, callback, flag, handleNumber, integer } from "../core/option-types.ts";
import { checkMadeBy, type OptionTable, readOptions, takeOption } from "../core/options.ts";
import { RECEIVER_OPTIONS } from "../core/receiver.ts";
import { CoreRouter, type HandlerOptions } from "../core/router.ts";
import type { BuildahOptions } from "./buildah.ts";
import type { Connector } from "./connector.ts";
import type { DoasOptions } from "./doas.ts";
import type { DockerOptions } from "./docker.ts";
import type { ExecOptions } from "./exec.ts";
import type { IncusOptions } from "./incus.ts";
import type { JailOptions } from "./jail.ts";
import { type KeepOptions, KeptContext } from "./kept-context.ts";
import type { KubectlOptions } from "./kubectl.ts";
import type { LocalOptions } from "./local.ts";
import type { LxcOptions } from "./lxc.ts";
import type { LxdOptions } from "./lxd.ts";
import type { PodmanOptions } from "./podman.ts";
import type { SetnsOptions } from "./setns.ts";
import type { SshOptions } from "./ssh.ts";
import type { SuOptions } from "./su.ts";
import type { SudoOptions } from "./sudo.ts";
import type { ThreadOptions } from "./thread.ts";

const HANDLER_OPTIONS: OptionTable<HandlerOptions> = { ...RECEIVER_OPTIONS, service: flag };
const CONTEXT_ID = integer(0, 0xffffffff);

/** A router with connection methods: what the program's router and those of its contexts have in common. */
export abstract class ConnectingRouter extends CoreRouter {
  protected abstract readonly connector: Connector;

  /** Starts a context as a child process of this one, or of the context given as `via`. */
  local(options: LocalOptions = {}): Promise<Context> {
    return this.connector.start("local", options);
  }

  /** Starts a context on another machine with the real `ssh`, `~/.ssh/config` included. */
  ssh(options: SshOptions): Promise<Context> {
    return this.connector.start("ssh", options);
  }

  /** Becomes another user with sudo. */
  sudo(options: SudoOptions = {}): Promise<Context> {
    return this.connector.start("sudo", options);
  }

  /** Becomes another user with su. */
  su(options: SuOptions = {}): Promise<Context> {
    return this.connector.start("su", options);
  }

  /** Becomes another user with doas. */
  doas(options: DoasOptions = {}): Promise<Context> {
    return this.connector.start("doas", options);
  }

  /** Enters a running Docker container, or runs one of an image for as long as the context lives. */
  docker(options: DockerOptions): Promise<Context> {
    return this.connector.start("docker", options);
  }

  podman(options: PodmanOptions): Promise<Context> {
    return this.connector.start("podman", options);
  }

  buildah(options: BuildahOptions): Promise<Context> {
    return this.connector.start("buildah", options);
  }

  kubectl(options: KubectlOptions): Promise<Context> {
    return this.connector.start("kubectl", options);
  }

  lxc(options: LxcOptions): Promise<Context> {
    return this.connector.start("lxc", options);
  }

  lxd(options: LxdOptions): Promise<Context> {
    return this.connector.start("lxd", options);
  }

  incus(options: IncusOptions): Promise<Context> {
    return this.connector.start("incus", options);
  }

  /** Enters a FreeBSD jail. */
  jail(options: JailOptions): Promise<Context> {
    return this.connector.start("jail", options);
  }

  /** Enters the namespaces of a container with nsenter, whatever manages it. */
  setns(options: SetnsOptions): Promise<Context> {
    return this.connector.start("setns", options);
  }

  /** Starts a context with any command line. */
  exec(options: ExecOptions): Promise<Context> {
    return this.connector.start("exec", options);
  }

  /** Starts a context as a thread of this process, or of the process of the context given as `via`. */
  thread(options: ThreadOptions = {}): Promise<Context> {
    return this.connector.start("thread", options);
  }

  /**
   * A context that is connected again when it is lost, by the function given. Returns at once; docs/connections.md#contexts-that-are-kept
   *
   * ```ts
   * const web = router.keep(() => router.ssh({ hostname: "web1" }), { retries: 10, backoffMs: 500 });
   * await web.with({ timeoutMs: 60_000 }).call(fs.promises.writeFile, "/srv/motd", "Hello");
   * ```
   */
  keep(connect: () => Promise<Context>, options?: KeepOptions): KeptContext {
    return new KeptContext(this, connect, options);
  }

  override addHandler(fn: (message: Message) => void, options: HandlerOptions = {}): number {
    const what = "add a handler";
    return super.addHandler(
      takeOption(what, "the first argument", fn, callback),
      readOptions(what, options, HANDLER_OPTIONS),
    );
  }

  override contextById(id: number, name?: string): Context {
    const known = this.contexts.get(id);
    if (known !== undefined) return known;
    const what = "find a context by its id";
    takeOption(what, "the id", id, CONTEXT_ID);
    if (name !== undefined) takeOption(what, "the name", name, anyText);
    return super.contextById(id, name);
  }

  override delHandler(handle: number): void {
    super.delHandler(takeOption("remove a handler", "the handle", handle, handleNumber));
  }

  override route(message: Message): void {
    checkMadeBy(Message, "route a message", "the first argument", "a Message", message);
    super.route(message);
  }

  /** Ends the contexts started through this router, hung ones included; resolves when they are reaped. Idempotent, never rejects. */
  abstract shutdown(): Promise<void>;

  async [Symbol.asyncDispose](): Promise<void> {
    await this.shutdown();
  }

  override async shutdownContext(context: Context, wait: boolean): Promise<void> {
    if (context.goneReason !== undefined) return;
    const ended = this.endContext(context);
    if (!wait) return;
    this.broker.hold();
    await ended;
    this.broker.release();
  }

  /** Ends it, hung or not; resolves when it is gone. Never rejects. */
  protected abstract endContext(context: Context): Promise<void>;

  /** Its process is its parent's: only that can end it if it hangs, and knows when it is reaped. */
  protected async endThrough(parent: Context, context: Context): Promise<void> {
    await this.connector.endBehind(parent, context.contextId);
  }

  /** What `super.shutdownContext` does, for subclasses' methods. */
  protected endByMessage(context: Context): Promise<void> {
    return super.shutdownContext(context, true);
  }

  /** Whether one is the other or above it, as far as this router knows the tree. */
  protected isAtOrAbove(contextId: number, belowId: number): boolean {
    let context: Context | undefined = this.contextById(belowId);
    while (context !== undefined && context.contextId !== contextId) context = context.via;
    return context !== undefined;
  }
}
