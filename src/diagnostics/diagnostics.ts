import type { Context } from "../core/context.ts";
import { type ConnectionFacts, type LinkState, noteConnection, noteLinks } from "../core/describe.ts";
import type { CoreRouter } from "../core/router.ts";
import { CancelledError } from "../errors.ts";
import { BusyTime } from "../loader/busy-time.ts";
import { getLogger, isLogEnabled, LogLevel } from "../logging/log.ts";
import { printServices } from "../service/router-services.ts";
import { monotonicMs } from "../waiting/monotonic.ts";
import { headOf } from "../wire/values/thrown.ts";
import { debugContext } from "./debug-context.ts";
import { DebugFile } from "./debug-file.ts";
import { dumpOnSignal, dumpProcess } from "./dump.ts";
import { maskOptions } from "./mask-options.ts";
import { Profiles } from "./profiles.ts";
import { printStats, type RouterStats } from "./stats.ts";

/** The most contexts that a dump describes. The dump only counts the others. */
const MAX_DUMPED = 1000;

const log = getLogger("mitogen.debug");

/** One file per process, however many routers ask for it. Closed with the last of them. */
let ownFile: DebugFile | undefined;
let ownFileUsers = 0;

/**
 * What a router tells people about itself and its contexts: debug logs, dumps, profiles, counters.
 * docs/debugging.md
 */
export class Diagnostics {
  readonly #router: CoreRouter & { getStats(): RouterStats };
  #profiles: Profiles | undefined = Profiles.fromEnvironment();
  readonly #startedAt: number = monotonicMs();
  readonly #connecting: BusyTime = new BusyTime();
  #failedConnectCount = 0;
  #isDebugging = false;
  #removeSignal: (() => void) | undefined;
  #isOver = false;

  constructor(
    router: CoreRouter & { getStats(): RouterStats },
    linkState: (peerId: number, contextId: number) => LinkState | undefined,
  ) {
    this.#router = router;
    noteLinks(router, (contextId) => {
      const peer = router.peerOf(contextId);
      return peer === undefined ? undefined : linkState(peer.contextId, contextId);
    });
  }

  get stats(): Pick<RouterStats, "uptimeMs" | "failedConnectCount" | "connectMs"> {
    return {
      uptimeMs: monotonicMs() - this.#startedAt,
      failedConnectCount: this.#failedConnectCount,
      connectMs: Math.round(this.#connecting.totalMs),
    };
  }

  /** See `Router.enableDebug`. */
  enableDebug(stack: string): string {
    if (this.#isOver) throw new CancelledError("Cannot write a debug log: the router has been shut down");
    ownFile ??= new DebugFile(process.ppid, stack);
    if (!this.#isDebugging) {
      ownFileUsers += 1;
      this.#isDebugging = true;
      this.installSignal();
      log.info(`Writing a debug log to ${ownFile.path}`);
    }
    return ownFile.path;
  }

  /** See `Router.installDiagnostics`. */
  installSignal(): () => void {
    this.#removeSignal ??= dumpOnSignal(() => {
      const text = this.dump();
      if (isLogEnabled(LogLevel.warning)) log.warning(text);
      else process.stderr.write(`${text}\n`);
    });
    return () => {
      this.#removeSignal?.();
      this.#removeSignal = undefined;
    };
  }

  /** See `Router.dump`. */
  dump(): string {
    const contexts = [...this.#router.contexts.values()];
    return [
      ...dumpProcess(this.#router),
      printServices(this.#router),
      `totals: ${printStats(this.#router.getStats())}`,
      ...(this.#isDebugging && ownFile !== undefined ? [`debug log: ${ownFile.path}`] : []),
      `contexts: ${contexts.length}`,
      ...contexts.slice(0, MAX_DUMPED).map((context) => context.describe().toString()),
      ...(contexts.length > MAX_DUMPED ? [`… and ${contexts.length - MAX_DUMPED} more`] : []),
    ].join("\n");
  }

  /**
   * Counts a connect and its time. Makes the new context write a debug log, or a profile, if the options of the
   * connect or the router say so. `stack` returns where the program made the connect.
   */
  async during(
    connect: Promise<Context>,
    { debug, profiling }: { debug?: boolean | undefined; profiling?: boolean | undefined },
    stack: () => string,
  ): Promise<Context> {
    try {
      const context = await this.#connecting.during(connect);
      if (debug === true || this.#isDebugging) void debugContext(context, stack());
      if (profiling === true) this.profile(context);
      return context;
    } catch (error) {
      this.#failedConnectCount += 1;
      throw error;
    }
  }

  /**
   * Begins the profile of a new context that runs this program's code. `isOurs` says that this program made the
   * connect. If a context made it, {@link during} did not see it, so its debug log begins here.
   */
  started(context: Context, isOurs: boolean): void {
    if (this.#profiles?.isOfAll === true) this.#profiles.begin(context);
    if (this.#isDebugging && !isOurs) void debugContext(context, "");
  }

  /** Begins the profile of one context, unless all are profiled. */
  private profile(context: Context): void {
    if (this.#profiles?.isOfAll === true) return;
    try {
      this.#profiles ??= Profiles.ofSomeContexts();
      this.#profiles.begin(context);
    } catch (error) {
      log.warning(`${context.name} is not profiled: ${headOf(error)}`);
    }
  }

  /** Records how a context was made, before it is used. */
  connected(
    context: Context,
    options: object,
    facts: Omit<ConnectionFacts, "options" | "connectedAt">,
  ): void {
    noteConnection(context, { ...facts, options: maskOptions(options), connectedAt: new Date() });
  }

  /** Whether {@link collect} is needed. */
  get isProfiling(): boolean {
    return this.#profiles !== undefined;
  }

  /** Collects the profiles of `ending` and the contexts below it, before they end. By default, of all contexts. */
  async collect(ending?: Context): Promise<void> {
    await this.#profiles?.collect((context) => {
      let at: Context | undefined = ending === undefined ? undefined : context;
      while (at !== undefined && at !== ending) at = at.via;
      return at === ending;
    });
  }

  /** Call this when the router has ended. */
  end(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#profiles?.end();
    log.debug(`Totals: ${printStats(this.#router.getStats())}`);
    this.#removeSignal?.();
    if (!this.#isDebugging) return;
    ownFileUsers -= 1;
    if (ownFileUsers > 0) return;
    ownFile?.close();
    ownFile = undefined;
  }
}
