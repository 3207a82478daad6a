import { fileURLToPath } from "node:url";
import * as vm from "node:vm";
import type { ModuleRecord } from "../module-record.ts";

/** What it needs of the evaluator around it. */
export interface EsModuleHost {
  moduleFor(id: string): vm.Module;
  record(id: string): ModuleRecord;
  /** Whether the module's text is here. */
  isSent(id: string): boolean;
  /** The id of what an `import` means; blocks while the master is asked. */
  resolveImport(parentId: string, specifier: string): string;
  /** Links a module and what it depends on. */
  link(id: string): Promise<void>;
}

/** Linking without waiting, in new Nodes (22.21, 24.8) only. */
interface SyncLinking {
  readonly moduleRequests?: readonly { readonly specifier: string }[];
  linkRequests?(modules: readonly vm.Module[]): void;
  instantiate?(): void;
  hasAsyncGraph?(): boolean;
}

/** A namespace for CommonJS, marked as that of an ES module. */
const FACADE =
  "export * from 'original'; export { default } from 'original'; export const __esModule = true;";

const isAllowed = (process.features as { require_module?: boolean }).require_module === true;
const canLinkSync = "linkRequests" in (vm.SourceTextModule?.prototype ?? {});

/**
 * `require()` of ES modules, where this Node has it. New Nodes link them when they are required; in those before, it takes
 * waiting, so all that a `require` names is linked, and not yet run, ahead of what requires it.
 */
export class EsModuleRequires {
  readonly #host: EsModuleHost;
  readonly #facades: Map<string, vm.Module> = new Map();
  /** Why modules could not be linked ahead: what requires them throws it. */
  readonly #failures: Map<string, unknown> = new Map();
  /** Modules whose requires have been looked at. */
  readonly #looked: Set<string> = new Set();

  constructor(host: EsModuleHost) {
    this.#host = host;
  }

  /** Whether {@link prepare} has anything to do in this Node. */
  get needsPreparation(): boolean {
    return isAllowed && !canLinkSync;
  }

  /** To be called ahead of the evaluation of a module, where it is needed. Never rejects. */
  async prepare(rootId: string): Promise<void> {
    const required = new Set<string>();
    const reached = new Set([rootId]);
    for (const id of reached) {
      if (this.#looked.has(id) || !this.#host.isSent(id)) continue;
      this.#looked.add(id);
      const { imports, requires } = this.#host.record(id);
      for (const each of Object.values(imports)) reached.add(each);
      for (const each of Object.values(requires)) {
        reached.add(each);
        required.add(each);
      }
    }
    for (const id of required) {
      if (this.#host.isSent(id) && this.#host.record(id).format === "module") await this.linkAhead(id);
    }
  }

  /** What Node answers, where the module's graph does not await anything. */
  require(id: string): unknown {
    const module = this.#host.moduleFor(id);
    const { status } = module;
    if (status === "evaluating") {
      throw coded("ERR_REQUIRE_CYCLE_MODULE", `Cannot require() ES module ${fileURLToPath(id)} in a cycle.`);
    }
    if (status === "unlinked") this.linkNow(id, module);
    if ((module as SyncLinking).hasAsyncGraph?.() === true) throw asyncModule(id);
    if (module.status === "linked") {
      // Without an await in it, it has run when this returns; what it throws is its error below.
      module.evaluate().catch(() => undefined);
    }
    if (module.status === "errored") throw module.error;
    if (module.status !== "evaluated") throw requireEsm(id);
    return this.namespaceOf(id, module);
  }

  private async linkAhead(id: string): Promise<void> {
    try {
      await this.#host.link(id);
      const module = this.#host.moduleFor(id);
      if (!needsFacade(module) || this.#facades.has(id)) return;
      const facade = new vm.SourceTextModule(FACADE, { identifier: id });
      await facade.link(() => module);
      this.#facades.set(id, facade);
    } catch (error) {
      this.#failures.set(id, error);
    }
  }

  private linkNow(id: string, root: vm.Module): void {
    if (this.#failures.has(id)) throw this.#failures.get(id);
    if (!isAllowed || !canLinkSync) throw requireEsm(id);
    const seen = new Set<vm.Module>([root]);
    for (const module of seen) {
      const { moduleRequests } = module as SyncLinking;
      if (moduleRequests === undefined || module.status !== "unlinked") continue;
      const dependencies = moduleRequests.map(({ specifier }) =>
        this.#host.moduleFor(this.#host.resolveImport(module.identifier, specifier)),
      );
      (module as SyncLinking).linkRequests?.(dependencies);
      for (const dependency of dependencies) seen.add(dependency);
    }
    (root as SyncLinking).instantiate?.();
  }

  /** An export named `module.exports`, or the namespace, marked as an ES module if it has a default. */
  private namespaceOf(id: string, module: vm.Module): unknown {
    const namespace = module.namespace as Record<string, unknown>;
    try {
      const names = Object.getOwnPropertyNames(namespace);
      if (names.includes("module.exports")) return namespace["module.exports"];
      for (const name of names) void namespace[name];
    } catch {
      // A name that is not initialised: the module awaits something. Older Nodes have no other way to tell.
      throw asyncModule(id);
    }
    if (!needsFacade(module)) return namespace;
    const facade = this.facadeOf(id, module);
    if (facade === undefined) return namespace;
    if (facade.status === "linked") facade.evaluate().catch(() => undefined);
    return facade.namespace;
  }

  /** Undefined for one that something has imported before, where nothing links without waiting. */
  private facadeOf(id: string, module: vm.Module): vm.Module | undefined {
    let facade = this.#facades.get(id);
    if (facade === undefined && canLinkSync) {
      facade = new vm.SourceTextModule(FACADE, { identifier: id });
      const linking = facade as SyncLinking;
      linking.linkRequests?.((linking.moduleRequests ?? []).map(() => module));
      linking.instantiate?.();
      this.#facades.set(id, facade);
    }
    return facade;
  }
}

function needsFacade({ namespace }: vm.Module): boolean {
  const names = Object.getOwnPropertyNames(namespace);
  return names.includes("default") && !names.includes("__esModule") && !names.includes("module.exports");
}

function coded(code: string, message: string): Error {
  return Object.assign(new Error(message), { code });
}

function requireEsm(id: string): Error {
  return coded(
    "ERR_REQUIRE_ESM",
    `require() of ES module ${fileURLToPath(id)} does not work ${isAllowed ? "where it was not sent ahead, " : ""}in Node ${process.version}: use import()`,
  );
}

function asyncModule(id: string): Error {
  return coded(
    "ERR_REQUIRE_ASYNC_MODULE",
    `require() cannot be used on the ES module ${fileURLToPath(id)}, which has a top-level await: use import()`,
  );
}
