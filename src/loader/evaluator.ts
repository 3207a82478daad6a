import { createRequire } from "node:module";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import * as vm from "node:vm";
import { API, builtinExports, isBuiltin, MITOGEN, syntheticNames } from "./builtins.ts";
import type { ImportKind, ModuleRecord } from "./module-record.ts";

/** Where modules come from. */
export interface ModuleSource {
  /** A module that is here and was not taken before. */
  take(id: string): ModuleRecord | undefined;
  /** Asks for what the resolution maps do not name; the answer is its id, and it has arrived by then. */
  fetch(parentId: string, specifier: string, kind: ImportKind): Promise<string>;
  /** The same, blocking: what a `require` needs. */
  fetchSync(parentId: string, specifier: string, kind: ImportKind): string;
  /** Whether it has been sent here; also of parts of this library. */
  has(id: string): boolean;
  /** What `import "mitogen"` gives, once that part is here. */
  library(): Record<string, unknown>;
}

interface CommonJsModule {
  id: string;
  filename: string;
  path: string;
  exports: unknown;
  loaded: boolean;
  children: unknown[];
  paths: string[];
  require: (specifier: string) => unknown;
}

/**
 * Evaluates modules with Node's semantics: ES modules through `vm.SourceTextModule`, CommonJS through `vm.compileFunction`. Each is
 * evaluated once, from memory; nothing is read from the target's disk. Modules are never unloaded.
 */
export class Evaluator {
  readonly #source: ModuleSource;
  readonly #records: Map<string, ModuleRecord> = new Map();
  readonly #modules: Map<string, vm.Module> = new Map();
  readonly #commonJs: Map<string, CommonJsModule> = new Map();
  readonly #evaluated: Map<string, { value: unknown }> = new Map();
  /** Linking is done one graph at a time: two that share modules would otherwise link them twice. */
  #linking: Promise<unknown> = Promise.resolve();

  constructor(source: ModuleSource) {
    this.#source = source;
  }

  /** The exports of a module that has been evaluated. */
  evaluated(id: string): { value: unknown } | undefined {
    return this.#evaluated.get(id);
  }

  /** Where a function stands in what has been evaluated here: its module and path, by identity. */
  find(fn: unknown): { module: string; path: string[] } | undefined {
    for (const [module, { value }] of this.#evaluated) {
      const path = pathTo(fn, value);
      if (path !== undefined) return { module, path };
    }
    for (const [module, { status, namespace }] of this.#modules) {
      const path = status === "evaluated" ? pathTo(fn, namespace) : undefined;
      if (path !== undefined) return { module, path };
    }
    return undefined;
  }

  /** The exports of a module as the caller's reference names them: a namespace, or `module.exports`. Boxed: one that exports `then` is no promise. */
  async evaluate(id: string): Promise<{ value: unknown }> {
    const record = this.record(id);
    if (record.format === "commonjs") return this.remember(id, this.requireModule(id));
    return this.remember(id, (await this.runModule(id)).namespace);
  }

  private remember(id: string, value: unknown): { value: unknown } {
    const entry = { value };
    this.#evaluated.set(id, entry);
    return entry;
  }

  /** Links and evaluates it, with what it depends on. */
  private async runModule(id: string): Promise<vm.Module> {
    const module = this.moduleFor(id);
    if (module.status === "unlinked") {
      const turn = this.#linking.then(() => this.link(module));
      this.#linking = turn.catch(() => undefined);
      await turn;
    }
    await module.evaluate();
    return module;
  }

  private async link(module: vm.Module): Promise<void> {
    if (module.status !== "unlinked") return;
    try {
      await module.link(async (specifier, referrer) => {
        return this.moduleFor(await this.resolve(referrer.identifier, specifier));
      });
    } catch (error) {
      // Nothing of it has run: the next import starts anew, and fails with its own error.
      for (const [id, { status }] of this.#modules) {
        if (status === "unlinked" || status === "linking") this.#modules.delete(id);
      }
      throw error;
    }
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
    if (id === MITOGEN) {
      const library = this.#source.library();
      return synthetic(id, Object.keys(library), () => library);
    }
    if (isBuiltin(id)) {
      const exports = this.builtin(id);
      return synthetic(id, ["default", ...syntheticNames(exports)], () => ({ ...exports, default: exports }));
    }
    const record = this.record(id);
    if (record.format === "json")
      return synthetic(id, ["default"], () => ({ default: this.requireModule(id) }));
    if (record.format === "commonjs") {
      const names = new Set(["default", ...record.exports]);
      return synthetic(id, [...names], () => {
        const exports = this.requireModule(id) as Record<string, unknown>;
        return { ...pick(exports, names), default: exports };
      });
    }
    return new vm.SourceTextModule(record.source, {
      identifier: id,
      initializeImportMeta: (meta: ImportMeta) => this.fillMeta(meta, id),
      importModuleDynamically: ((specifier: string) => this.importDynamically(id, specifier)) as never,
    });
  }

  private fillMeta(meta: ImportMeta, id: string): void {
    const filename = fileURLToPath(id);
    Object.assign(meta, {
      url: id,
      filename,
      dirname: dirname(filename),
      main: false,
      resolve: (specifier: string) => this.resolveSync(id, specifier, "import"),
    });
  }

  private async importDynamically(parentId: string, specifier: string): Promise<unknown> {
    const module = await this.runModule(await this.resolve(parentId, String(specifier)));
    return module.namespace;
  }

  private async resolve(parentId: string, specifier: string): Promise<string> {
    const known = this.resolveKnown(parentId, specifier, "import");
    return known ?? (await this.#source.fetch(parentId, specifier, "import"));
  }

  private resolveSync(parentId: string, specifier: string, kind: ImportKind): string {
    return this.resolveKnown(parentId, specifier, kind) ?? this.#source.fetchSync(parentId, specifier, kind);
  }

  private resolveKnown(parentId: string, specifier: string, kind: ImportKind): string | undefined {
    if (isBuiltin(specifier)) return specifier;
    // A specifier that was computed: the master has not seen it, and did not send the library ahead.
    if (specifier === MITOGEN) return this.#source.has(API) ? MITOGEN : undefined;
    const { imports, requires } = this.record(parentId);
    const map = kind === "import" ? imports : requires;
    return Object.getOwnPropertyDescriptor(map, specifier)?.value;
  }

  private record(id: string): ModuleRecord {
    let record = this.#records.get(id);
    if (record === undefined) {
      record = this.#source.take(id);
      if (record === undefined) {
        throw Object.assign(new Error(`Cannot find module '${id}': it was not sent to this context`), {
          code: "ERR_MODULE_NOT_FOUND",
        });
      }
      this.#records.set(id, record);
    }
    return record;
  }

  /** `require()` of a module that is here: its `module.exports`. */
  private requireModule(id: string): unknown {
    if (id === MITOGEN) return this.#source.library();
    if (isBuiltin(id)) return this.builtin(id);
    const known = this.#commonJs.get(id);
    if (known !== undefined) return known.exports;
    const record = this.record(id);
    if (record.format === "module") return this.requireEsModule(id);
    const filename = fileURLToPath(id);
    const module: CommonJsModule = {
      id: filename,
      filename,
      path: dirname(filename),
      exports: {},
      loaded: false,
      children: [],
      paths: [],
      require: this.requireFor(id),
    };
    this.#commonJs.set(id, module);
    try {
      if (record.format === "json") module.exports = parseJson(record);
      else this.runCommonJs(record, module);
    } catch (error) {
      // As in Node: a module that failed is tried anew by the next require.
      this.#commonJs.delete(id);
      throw error;
    }
    module.loaded = true;
    return module.exports;
  }

  private runCommonJs(record: ModuleRecord, module: CommonJsModule): void {
    const compiled = vm.compileFunction(
      record.source.replace(/^#!/, "//"),
      ["exports", "require", "module", "__filename", "__dirname"],
      {
        filename: record.id,
        importModuleDynamically: ((specifier: string) =>
          this.importDynamically(record.id, specifier)) as never,
      } as vm.CompileFunctionOptions,
    );
    compiled.call(module.exports, module.exports, module.require, module, module.filename, module.path);
  }

  /** `require()` of an ES module, where it can be evaluated without waiting. */
  private requireEsModule(id: string): unknown {
    const module = this.#modules.get(id);
    if (module !== undefined && module.status === "evaluated") return module.namespace;
    throw Object.assign(
      new Error(`require() of ES module ${id} is not supported here: use import(), or import it before`),
      { code: "ERR_REQUIRE_ESM" },
    );
  }

  private requireFor(parentId: string): NodeJS.Require {
    const require = (specifier: string): unknown => {
      if (typeof specifier !== "string" || specifier === "") {
        throw Object.assign(new TypeError(`The argument 'id' must be a non-empty string, got ${specifier}`), {
          code: "ERR_INVALID_ARG_VALUE",
        });
      }
      return this.requireModule(this.resolveSync(parentId, specifier, "require"));
    };
    const resolve = (specifier: string): string => {
      const id = this.resolveSync(parentId, specifier, "require");
      return id.startsWith("file:") ? fileURLToPath(id) : id;
    };
    return Object.assign(require, {
      resolve,
      main: undefined,
      cache: {},
      extensions: {},
    }) as unknown as NodeJS.Require;
  }

  private builtin(id: string): Record<string, unknown> {
    const exports = builtinExports(id);
    if (id !== "module" && id !== "node:module") return exports;
    // `createRequire(import.meta.url)` must lead to the program's modules, not to the target's disk.
    return Object.assign(Object.create(exports), {
      ...exports,
      createRequire: (from: string | URL) => {
        const url = String(from);
        return this.#records.has(url) ? this.requireFor(url) : createRequire(from);
      },
    });
  }
}

function synthetic(id: string, names: string[], evaluate: () => Record<string, unknown>): vm.Module {
  return new vm.SyntheticModule(
    names,
    function (this: vm.SyntheticModule) {
      const values = evaluate();
      for (const name of names) this.setExport(name, values[name]);
    },
    { identifier: id },
  );
}

function pick(
  exports: Record<string, unknown> | null | undefined,
  names: Iterable<string>,
): Record<string, unknown> {
  const picked: Record<string, unknown> = {};
  if (exports === null || exports === undefined) return picked;
  for (const name of names) picked[name] = exports[name];
  return picked;
}

/** The path to a function in a module's exports: itself, an export, or a static member of one. */
function pathTo(fn: unknown, exports: unknown): string[] | undefined {
  if (exports === fn) return [];
  for (const [name, value] of Object.entries(exports ?? {})) {
    if (value === fn) return [name];
    if (typeof value !== "function") continue;
    for (const key of Object.getOwnPropertyNames(value)) {
      if (Object.getOwnPropertyDescriptor(value, key)?.value === fn) return [name, key];
    }
  }
  return undefined;
}

function parseJson(record: ModuleRecord): unknown {
  try {
    return JSON.parse(record.source.replace(/^\uFEFF/, ""));
  } catch (error) {
    throw new SyntaxError(`${record.id}: ${(error as Error).message}`);
  }
}
