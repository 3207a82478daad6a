import { fileURLToPath } from "node:url";
import * as vm from "node:vm";
import type { SentModules } from "./sent-modules.ts";

/** What `EsModuleRequires` needs from the evaluator. */
export interface EsModuleHost {
  moduleFor(id: string): vm.Module;
  /** Returns the module `id` as an import in the module `parentId` sees it. */
  importedBy(parentId: string, id: string): vm.Module;
  /** Links a module and its dependencies. */
  link(id: string): Promise<void>;
}

/** Synchronous linking. Only new Nodes (22.21, 24.8) have it. */
interface SyncLinking {
  readonly moduleRequests?: readonly { readonly specifier: string }[];
  linkRequests?(modules: readonly vm.Module[]): void;
  instantiate?(): void;
  hasAsyncGraph?(): boolean;
}

/** The text of a facade: a module that tells CommonJS that the module behind it is an ES module. */
const FACADE =
  "export * from 'original'; export { default } from 'original'; export const __esModule = true;";

const isAllowed = (process.features as { require_module?: boolean }).require_module === true;
const canLinkSync = "linkRequests" in (vm.SourceTextModule?.prototype ?? {});

/**
 * `require()` of ES modules, in Nodes that have it. New Nodes link such a module when it is required. In older
 * ones, linking is asynchronous. There, all ES modules that a `require` names are linked, but not yet run, before
 * the requiring module runs.
 */
export class EsModuleRequires {
  readonly #modules: SentModules;
  readonly #host: EsModuleHost;
  readonly #facades: Map<string, vm.Module> = new Map();
  /** The errors of modules that could not be linked ahead. Their `require` throws them. */
  readonly #failures: Map<string, unknown> = new Map();
  /** Modules whose `require` calls have been prepared. */
  readonly #looked: Set<string> = new Set();

  constructor(modules: SentModules, host: EsModuleHost) {
    this.#modules = modules;
    this.#host = host;
  }

  /** Whether {@link prepare} is needed in this Node. */
  get needsPreparation(): boolean {
    return isAllowed && !canLinkSync;
  }

  /** Links the ES modules that a graph requires. Call this before evaluation if it is needed. Never rejects. */
  async prepare(rootId: string): Promise<void> {
    const required = new Set<string>();
    const reached = new Set([rootId]);
    for (const id of reached) {
      if (this.#looked.has(id) || !this.#modules.isSent(id)) continue;
      this.#looked.add(id);
      const { imports, requires } = this.#modules.record(id);
      for (const each of Object.values(imports)) reached.add(each);
      for (const each of Object.values(requires)) {
        reached.add(each);
        required.add(each);
      }
    }
    for (const id of required) {
      if (this.#modules.isSent(id) && this.#modules.record(id).format === "module") await this.linkAhead(id);
    }
  }

  /** Returns what Node's `require` returns if nothing in the module's graph uses top-level await. */
  require(id: string): unknown {
    const module = this.#host.moduleFor(id);
    const { status } = module;
    if (status === "evaluating") {
      throw coded("ERR_REQUIRE_CYCLE_MODULE", `Cannot require() ES module ${fileURLToPath(id)} in a cycle.`);
    }
    if (status === "unlinked") this.linkNow(id, module);
    if ((module as SyncLinking).hasAsyncGraph?.() === true) throw asyncModule(id);
    if (module.status === "linked") {
      // Without top-level await, the module has run when this returns. Its error is rethrown below.
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
      const dependencies = moduleRequests.map(({ specifier }) => {
        const id = this.#modules.resolveSync(module.identifier, specifier, "import");
        return this.#host.importedBy(module.identifier, id);
      });
      (module as SyncLinking).linkRequests?.(dependencies);
      for (const dependency of dependencies) seen.add(dependency);
    }
    (root as SyncLinking).instantiate?.();
  }

  /**
   * Returns the export named `module.exports`. Without one, returns the namespace; if that has a default export, it
   * is marked as that of an ES module.
   */
  private namespaceOf(id: string, module: vm.Module): unknown {
    const namespace = module.namespace as Record<string, unknown>;
    try {
      const names = Object.getOwnPropertyNames(namespace);
      if (names.includes("module.exports")) return namespace["module.exports"];
      for (const name of names) void namespace[name];
    } catch {
      // An uninitialised name means that the module awaits something. Older Nodes have no other sign of that.
      throw asyncModule(id);
    }
    if (!needsFacade(module)) return namespace;
    const facade = this.facadeOf(id, module);
    if (facade === undefined) return namespace;
    if (facade.status === "linked") facade.evaluate().catch(() => undefined);
    return facade.namespace;
  }

  /**
   * Returns the facade of a module. Undefined if something has imported the module before and this Node cannot link
   * synchronously.
   */
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
