import { importModule } from "../../calls/caller/module-handle.ts";
import { callSite, isOwnError, placedAt } from "../../core/call-site.ts";
import { Context } from "../../core/context.ts";
import type { CoreRouter } from "../../core/router.ts";
import type { FunctionName } from "../../functions/function-name.ts";
import { getLogger } from "../../logging/log.ts";
import { instanceOf } from "../../options/option-types.ts";
import { takeOption } from "../../options/options.ts";
import { importLate } from "../../process/late-import.ts";
import { receivedStack } from "../../text/received-stack.ts";
import type { WaitOptions } from "../../waiting/wait.ts";
import { messageOf, textOf } from "../../wire/values/thrown.ts";
import { API, EVALUATOR, FLEET, isBuiltin, PARENT_ROLE, SHORT_WAY } from "../builtins.ts";
import { BusyTime } from "../busy-time.ts";
import type { ModuleGraph } from "../compile/graph.ts";
import { type ModuleOverride, ModuleRules, type SourceModifier } from "../compile/module-rules.ts";
import { ModuleError } from "../module-error.ts";
import { ENTRY_BYTES, ModuleForwarder } from "../module-forwarder.ts";
import type { ModuleRecord } from "../module-record.ts";
import { type ModuleName, moduleId } from "../naming/module-name.ts";
import { nameClass, nameFunction, warmUpNames } from "../naming/name-function.ts";
import { type ModulePattern, realId } from "../resolve/module-pattern.ts";
import type { Destination } from "../resolve/resolve.ts";
import { explainModule, type RootReason } from "./explain-module.ts";
import { ModuleExplanation } from "./module-explanation.ts";
import { isPart, type Packed, pack, packedBytes, packedPart } from "./packed-modules.ts";
import { RequestDesk } from "./request-desk.ts";
import { ResourceServer } from "./resources.ts";
import type { Resolve } from "./serve-policy.ts";
import { type ServedContext, ServedContexts } from "./served-context.ts";

/** Counters of the modules that were served so far. */
export interface ModuleStats {
  /** Modules sent, whether pushed ahead or asked for. */
  moduleCount: number;
  /** The compressed bytes of these modules, including those that a hop already had and that were not sent again. */
  moduleBytes: number;
  /** Batches in which these modules were sent. */
  batchCount: number;
  /** Milliseconds in which at least one module was being read, compiled or compressed. */
  compileMs: number;
  /** Requests of contexts for modules. */
  requestCount: number;
  /** Requests that were refused. */
  refusedCount: number;
  /** Requests for a module that the context had been sent already. */
  duplicateCount: number;
}

/** The code that reads and compiles modules. */
type Graphs = typeof import("../compile/graphs.ts");

const log = getLogger("mitogen.responder");
const CONTEXT = instanceOf(Context, "a Context");

/** Loaded with the first module to be sent, or while the first context starts. */
let graphs: Graphs | undefined;

/**
 * Serves the program's modules to its contexts: sends the modules that a call needs ahead of the call, and answers
 * requests of contexts that evaluate modules. A context gets modules that were named in modules it was sent, code in
 * their packages, and what {@link allow} adds: docs/modules.md#what-may-be-served.
 */
export class ModuleResponder {
  readonly #router: CoreRouter;
  readonly #targets: ServedContexts = new ServedContexts();
  readonly #forwarder: ModuleForwarder;
  readonly #rules: ModuleRules = new ModuleRules();
  readonly #desk: RequestDesk;
  readonly #busy: BusyTime = new BusyTime();
  readonly #sent = { moduleCount: 0, moduleBytes: 0, batchCount: 0 };
  // For `explain()`. The keys are modules of this program, never values from a child.
  readonly #roots: Map<string, RootReason> = new Map();
  readonly #failures: Map<string, Error> = new Map();
  readonly #records: Map<string, ModuleRecord> = new Map();
  /** Undefined after a change of the rules, and after {@link invalidate}. */
  #graph: ModuleGraph | undefined;

  /** @internal */
  constructor(router: CoreRouter) {
    this.#router = router;
    this.#forwarder = new ModuleForwarder(router, packedBytes);
    this.#desk = new RequestDesk(
      router,
      this.#targets,
      this.#rules,
      (...request) => this.resolve(...request),
      (contextId, target, id) => this.push(contextId, target, id, "asked for"),
    );
    new ResourceServer(router, (contextId, moduleId) => this.wasSent(contextId, moduleId));
  }

  /** Counters since this router was made. */
  get stats(): Readonly<ModuleStats> {
    const { requestCount, refusedCount, duplicateCount } = this.#desk;
    return {
      ...this.#sent,
      ...{ compileMs: Math.round(this.#busy.totalMs), requestCount, refusedCount, duplicateCount },
    };
  }

  /**
   * Lets contexts ask for the modules that match, even if no module that they were sent leads there. Returns this
   * object. Throws a TypeError for an invalid pattern, like the methods below.
   */
  allow(...patterns: ModulePattern[]): this {
    this.#rules.allow(patterns);
    return this;
  }

  /**
   * Keeps the modules that match from being sent to any context, even if a call needs them or a rule allows them. A
   * call whose graph has such a module rejects with a ModuleError.
   */
  deny(...patterns: ModulePattern[]): this {
    return this.change(() => this.#rules.deny(patterns));
  }

  /** Lets targets take packages from their own disk: `"sharp"`, `"@img/*"`. docs/modules.md#packages-of-the-target */
  provided(...names: (string | RegExp)[]): this {
    return this.change(() => this.#rules.provide(names));
  }

  /** Replaces the text of a module's file. The file need not exist. */
  override(id: string | URL, source: ModuleOverride): this {
    return this.change(() => this.#rules.override(moduleId(id), source));
  }

  /**
   * Passes the text of files through a function before they are compiled. Several functions run in the order given.
   */
  modify(pattern: ModulePattern, modifier: SourceModifier): this {
    return this.change(() => this.#rules.modify(pattern, modifier));
  }

  /**
   * Sends modules, with everything they import, before they are needed. Resolves when they are on their way. Rejects
   * with a ModuleError for a module that cannot be sent. Does nothing for a context that is gone, or that belongs to
   * another router.
   */
  async forward(context: Context, modules: ModuleName | readonly ModuleName[]): Promise<void> {
    takeOption("forward modules", "the context", context, CONTEXT);
    const site = callSite(this.forward);
    const ids = [modules].flat().map((each) => moduleId(each as ModuleName));
    const target = context.router === this.#router ? this.#targets.get(context.contextId) : undefined;
    if (target === undefined) {
      log.debug(
        `Dropped ${ids.length} modules for ${context.name}: ${context.goneReason ?? "no such context"}`,
      );
      return;
    }
    const files = ids.filter((id) => id !== "global" && !isBuiltin(id) && !target.complete.has(id));
    try {
      await Promise.all(files.map((id) => this.push(context.contextId, target, id, "forwarded")));
    } catch (error) {
      throw isOwnError(error) ? placedAt(error, site()) : error;
    }
  }

  /**
   * Says why a module was or was not sent. The result prints as text. Takes an id, a path, the name of a package, or a
   * function.
   */
  explain(module: ModuleName): ModuleExplanation {
    let name: string;
    try {
      name = typeof module === "string" ? module : moduleId(module);
    } catch (error) {
      const what = typeof module === "function" ? textOf(module.name || "(anonymous)") : textOf(module);
      return new ModuleExplanation(what, "refused", messageOf(error));
    }
    const contexts = [...this.#targets].map(([contextId, served]) => {
      return { reader: { contextId, name: this.#router.contextById(contextId).name }, served };
    });
    return explainModule(name, {
      ...{ rules: this.#rules, contexts, records: this.#records, refusals: this.#desk.refusals },
      ...{ roots: this.#roots, failures: this.#failures },
    });
  }

  /**
   * Forgets what was read and compiled of a module, or of every module if there is no argument. Contexts that do not
   * have the module yet will get its new text; contexts that have it keep it. Also affects other routers of this
   * process that have no rules of their own.
   */
  invalidate(module?: ModuleName): void {
    const file = module === undefined ? undefined : moduleId(module);
    graphs?.compiler.invalidate(file);
    graphs?.plainGraph.invalidate(file);
    this.#graph = undefined;
  }

  /** Whether a file whose text contexts were sent, or may be sent, has another text now. @internal */
  async hasChanged(): Promise<boolean> {
    return (await graphs?.compiler.hasChanged()) ?? false;
  }

  /** Allows sending modules to a context, until {@link forget}. @internal */
  addTarget(contextId: number, nodeVersion: string): void {
    this.#targets.add(contextId, nodeVersion);
  }

  /** @internal */
  forget(contextId: number): void {
    this.#targets.forget(contextId);
    this.#desk.forget(contextId);
  }

  /** Sends a context's broker thread the part that only contexts with children need. @internal */
  sendParentRole(contextId: number): void {
    const target = this.#targets.get(contextId);
    if (target !== undefined) this.sendParts(contextId, target, [PARENT_ROLE]);
  }

  /** Does work that the first call would have to wait for. Call it while a child is starting anyway. @internal */
  warmUp(): void {
    if (isWarm) return;
    isWarm = true;
    warmUpNames();
    loadGraphs().then(
      ({ warmUp }) => warmUp(),
      () => undefined, // The call that needs the graph reports the error.
    );
  }

  /** @internal */
  nameOf(fn: (...args: never[]) => unknown, isClass = false): FunctionName {
    return isClass ? nameClass(fn) : nameFunction(fn);
  }

  /** @internal */
  prepare(context: Context, { module }: FunctionName): Promise<void> | undefined {
    const { contextId } = context;
    if (this.#targets.peek(contextId)?.complete.has(module) || module === "global" || isBuiltin(module)) {
      return undefined;
    }
    const target = this.#targets.get(contextId);
    if (target === undefined) return undefined;
    if (module === API || module === SHORT_WAY || module === FLEET) {
      this.sendParts(contextId, target, [module]);
      return undefined;
    }
    return this.push(contextId, target, module, "called");
  }

  /** @internal */
  originalStack(received: string, context: Context): string {
    const stack = receivedStack(received);
    return graphs === undefined
      ? stack
      : graphs.compiler.originalStack(stack, this.#targets.versionOf(context.contextId));
  }

  /** @internal */
  importModule(context: Context, moduleUrl: string | URL, options: WaitOptions): Promise<object> {
    return importModule(context, realId(textOf(moduleUrl)), options);
  }

  private wasSent(contextId: number, moduleId: string): boolean {
    return this.#targets.peek(contextId)?.sent.has(moduleId) === true;
  }

  /** Sends the part of the graph of `id` that the target lacks, or joins a running push of it. */
  private push(contextId: number, target: ServedContext, id: string, why: RootReason): Promise<void> {
    if (id === API || id === FLEET) {
      this.sendParts(contextId, target, [id]);
      return Promise.resolve();
    }
    if (why === "called" || !this.#roots.has(id)) this.#roots.set(id, why);
    let pushing = target.pushing.get(id);
    if (pushing === undefined) {
      pushing = this.#busy.during(this.pushGraph(contextId, target, id));
      target.pushing.set(id, pushing);
      const done = (error?: Error): void => {
        target.pushing.delete(id);
        if (error === undefined) this.#failures.delete(id);
        else this.#failures.set(id, error);
      };
      pushing.then(() => done(), done);
    }
    return pushing;
  }

  /** Resolves specifiers in requests of contexts that have been sent modules. */
  private resolve(...request: Parameters<Resolve>): Destination {
    if (graphs === undefined) throw new Error("no module has been sent to any context");
    return graphs.resolveByRules(this.#rules, ...request);
  }

  private async pushGraph(contextId: number, target: ServedContext, id: string): Promise<void> {
    // No await once `graphs` is loaded: rules that the program adds after the call must not apply to it.
    const { graphFor } = graphs ?? (await loadGraphs());
    this.#graph ??= graphFor(this.#rules);
    const records = await this.#graph.closure(id, target.nodeVersion, (each) => target.sent.has(each));
    await this.send(contextId, target, records);
    target.complete.add(id);
  }

  private async send(
    contextId: number,
    target: ServedContext,
    records: readonly ModuleRecord[],
  ): Promise<void> {
    const modules = await Promise.all(
      records.map(async (record) => [record.id, await pack(record)] as const),
    );
    for (const [id, { bytes }] of modules) checkSize(id, bytes.length, this.#router.maxMessageBytes);
    for (const record of records) {
      target.note(record);
      this.#records.set(record.id, record);
    }
    const parts = records.some((record) => record.usesLibrary) ? [EVALUATOR, API] : [EVALUATOR];
    this.sendPacked(contextId, target, [...parts.map(packedPart), ...modules]);
  }

  /** Sends library parts, each once. */
  private sendParts(contextId: number, target: ServedContext, ids: readonly string[]): void {
    this.sendPacked(contextId, target, ids.map(packedPart));
  }

  private sendPacked(
    contextId: number,
    target: ServedContext,
    modules: readonly (readonly [string, Packed])[],
  ): void {
    // Another push may have sent some of them during the compression.
    const missing = modules.filter(([id]) => !target.sent.has(id));
    if (missing.length === 0) return;
    for (const [id, { bytes }] of missing) {
      target.sent.add(id);
      if (isPart(id)) continue;
      this.#sent.moduleCount += 1;
      this.#sent.moduleBytes += bytes.length;
    }
    log.debug(
      `Sending ${missing.length} modules to context ${contextId}: ${missing.map(([id]) => id).join(", ")}`,
    );
    this.#sent.batchCount += this.#forwarder.forward(
      contextId,
      missing.map(([id, { hash }]) => [id, hash]),
    );
  }

  /** Adds a rule. It applies to everything that is sent from now on. */
  private change(rule: () => void): this {
    rule();
    this.#graph = undefined;
    return this;
  }
}

let isWarm = false;

async function loadGraphs(): Promise<Graphs> {
  graphs ??= await importLate(() => import("../compile/graphs.ts"));
  return graphs;
}

/** Checked before a batch is sent, because a hop would drop a message that is too large. */
function checkSize(id: string, bytes: number, maxMessageBytes: number): void {
  const needed = bytes + id.length * 3 + ENTRY_BYTES;
  if (needed <= maxMessageBytes) return;
  throw new ModuleError(
    "ERR_MODULE_TOO_LARGE",
    `Cannot send module ${id}: ${bytes} bytes compressed exceed maxMessageBytes ${maxMessageBytes}; raise it, or send large data as an argument or a file`,
  );
}
