import * as vm from "node:vm";
import type { FunctionName } from "../../functions/function-name.ts";
import { stackOf } from "../../wire/values/thrown.ts";
import { builtinExports, isBuiltin, MITOGEN } from "../builtins.ts";
import { PROVIDED } from "../module-record.ts";
import { CommonJs } from "./commonjs.ts";
import { EsModuleRequires } from "./es-module-requires.ts";
import { findName } from "./find-name.ts";
import { hideCommandLine } from "./hide-command-line.ts";
import { fillMeta } from "./import-meta.ts";
import { SentModules, type SentModulesHost } from "./sent-modules.ts";
import { checkedModule, commonJsModule, moduleBehind, syntheticModule } from "./synthetic-modules.ts";

/** The source of modules. */
export interface ModuleSource extends SentModulesHost {
  /** The exports of `import "mitogen"`. The library part must be here. */
  library(): Record<string, unknown>;
}

/**
 * Evaluates modules with Node's semantics: ES modules by `vm.SourceTextModule`, CommonJS by {@link CommonJs}.
 * Each module is evaluated once, from memory. Nothing is read from the target's disk. Modules are never
 * unloaded.
 */
export class Evaluator {
  readonly #source: ModuleSource;
  readonly #sent: SentModules;
  readonly #commonJs: CommonJs;
  readonly #requires: EsModuleRequires;
  readonly #modules: Map<string, vm.Module> = new Map();
  /** CommonJS as modules with `isInterop` see it. */
  readonly #interops: Map<string, vm.Module> = new Map();
  /** The exports of modules that were evaluated for calls, by id. */
  readonly #evaluated: Map<string, { value: unknown }> = new Map();
  readonly #builtins: Map<string, { exports: unknown }> = new Map();
  /**
   * Graphs are linked one after the other. Otherwise two graphs would link the modules that they share twice.
   */
  #linking: Promise<unknown> = Promise.resolve();

  constructor(source: ModuleSource) {
    hideCommandLine();
    this.#source = source;
    this.#sent = new SentModules(source);
    this.#commonJs = new CommonJs(this.#sent, this);
    this.#requires = new EsModuleRequires(this.#sent, {
      moduleFor: (id) => this.moduleFor(id),
      importedBy: (parentId, id) => this.importedBy(parentId, id),
      link: (id) => this.linkInTurn(id),
    });
  }

  /** The exports of a module that was evaluated for a call. */
  evaluated(id: string): { value: unknown } | undefined {
    return this.#evaluated.get(id);
  }

  /** Returns the name of a function that an evaluated module, a builtin used here or the global object has. */
  find(fn: unknown): FunctionName | undefined {
    const modules: [string, unknown][] = [];
    for (const [id, { value }] of this.#evaluated) modules.push([id, value]);
    for (const [id, { status, namespace }] of this.#modules)
      if (status === "evaluated") modules.push([id, namespace]);
    for (const [id, { exports }] of this.#builtins) modules.push([id, exports]);
    modules.push(["global", globalThis]);
    return findName(fn, modules, (id) => this.#sent.dependenciesOf(id));
  }

  /**
   * Evaluates a module and returns its exports as references name them: a namespace, or `module.exports`. The
   * value is boxed, because a module that exports `then` would be taken for a promise.
   */
  async evaluate(id: string): Promise<{ value: unknown }> {
    const isCommonJs = this.#sent.record(id).format === "commonjs";
    if (this.#requires.needsPreparation) await this.#requires.prepare(id);
    try {
      const value = isCommonJs ? this.#commonJs.require(id) : (await this.run(id)).namespace;
      const box = { value };
      this.#evaluated.set(id, box);
      return box;
    } catch (error) {
      throw withPlace(error);
    }
  }

  // The members of CommonJsHost.

  async importDynamically(parentId: string, specifier: unknown): Promise<unknown> {
    const id = await this.#sent.resolve(parentId, String(specifier));
    if (this.#requires.needsPreparation) await this.#requires.prepare(id);
    // Not its namespace, because a module that exports `then` would be taken for a promise, and be called too early.
    return await this.run(id);
  }

  requireEsModule(id: string): unknown {
    return this.#requires.require(id);
  }

  external(id: string): { exports: unknown } | undefined {
    if (id === MITOGEN) return { exports: this.#source.library() };
    if (id.startsWith(PROVIDED)) return { exports: this.#commonJs.requireProvided(id) };
    if (!isBuiltin(id)) return undefined;
    let builtin = this.#builtins.get(id);
    if (builtin === undefined) {
      builtin = { exports: builtinExports(id) };
      this.#builtins.set(id, builtin);
    }
    return builtin;
  }

  /** Links and evaluates a module and its dependencies. */
  private async run(id: string): Promise<vm.Module> {
    await this.linkInTurn(id);
    const module = this.moduleFor(id);
    await module.evaluate();
    return module;
  }

  private async linkInTurn(id: string): Promise<void> {
    if (!isUnlinked(this.moduleFor(id))) return;
    // Looked up again when its turn comes, because a failed link removes the module.
    const turn = this.#linking.then(() => this.link(this.moduleFor(id)));
    this.#linking = turn.catch(() => undefined);
    await turn;
  }

  private async link(module: vm.Module): Promise<void> {
    if (module.status !== "unlinked") return;
    const linked = new Set([module]);
    try {
      await module.link(async (specifier, referrer) => {
        const { identifier } = referrer;
        const found =
          moduleBehind(referrer) ??
          this.importedBy(identifier, await this.#sent.resolve(identifier, specifier));
        if (found.status === "errored") throw found.error;
        if (isUnlinked(found)) linked.add(found);
        return found;
      });
    } catch (error) {
      // Nothing of it has run. The next import starts again, and fails with its own error. A module is also
      // "errored" if an import of it could not be linked; it would then only say that it cannot be evaluated.
      for (const modules of [this.#modules, this.#interops]) {
        for (const [id, each] of modules) {
          if (isUnlinked(each) || (linked.has(each) && each.status === "errored")) modules.delete(id);
        }
      }
      throw error;
    }
  }

  private importedBy(parentId: string, id: string): vm.Module {
    if (!this.#sent.record(parentId).isInterop || !/^file:/.test(id)) return this.moduleFor(id);
    const { format, exports } = this.#sent.record(id);
    if (format !== "commonjs") return this.moduleFor(id);
    let module = this.#interops.get(id);
    if (module === undefined) {
      module = commonJsModule(id, exports, true, () => this.#commonJs.require(id));
      this.#interops.set(id, module);
    }
    return module;
  }

  private moduleFor(id: string): vm.Module {
    let module = this.#modules.get(id);
    if (module === undefined) {
      module = this.createModule(id);
      this.#modules.set(id, module);
    }
    return module;
  }

  private createModule(id: string): vm.Module {
    const external = this.external(id);
    if (external !== undefined) {
      const { exports } = external;
      const values = exports as Record<string, unknown>;
      if (id === MITOGEN) return syntheticModule(id, Object.keys(values), () => values);
      const names = Object.keys(values).filter((name) => name !== "default");
      return syntheticModule(id, ["default", ...names], () => ({ ...values, default: values }));
    }
    const { format, source, exports } = this.#sent.record(id);
    if (format === "json")
      return checkedModule(id, ["default"], () => ({ default: this.#commonJs.require(id) }));
    if (format === "commonjs") return commonJsModule(id, exports, false, () => this.#commonJs.require(id));
    try {
      return new vm.SourceTextModule(source, {
        identifier: id,
        initializeImportMeta: (meta: ImportMeta) => fillMeta(meta, id, this.#sent, this.#commonJs),
        importModuleDynamically: ((specifier: string) => this.importDynamically(id, specifier)) as never,
      });
    } catch (error) {
      // The stack of a SyntaxError in CommonJS begins with its place. For ES modules, Node prints the place only if
      // nobody catches the error.
      const { stack } = error as Error;
      throw Object.defineProperty(error, "stack", { value: `${id}\n\n${stack}` });
    }
  }
}

/**
 * Adds the place of a syntax error, with which its stack begins, to its message: a caller may print only that. A
 * module that failed before throws the same error again.
 */
function withPlace(error: unknown): unknown {
  const place = ` (${/^(?:file:|\/).*/.exec(stackOf(error))?.[0]})`;
  if (error instanceof SyntaxError && place !== " (undefined)" && !error.message.endsWith(place))
    error.message += place;
  return error;
}

function isUnlinked({ status }: { status: vm.ModuleStatus }): boolean {
  return status === "unlinked" || status === "linking";
}
