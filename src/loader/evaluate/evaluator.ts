import { dirname } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import * as vm from "node:vm";
import { attempt, messageOf, read, stackOf } from "../../wire/values/thrown.ts";
import { API, builtinExports, isBuiltin, MITOGEN } from "../builtins.ts";
import { type ImportKind, MISSING, type ModuleRecord, PROVIDED } from "../module-record.ts";
import { CommonJs } from "./commonjs.ts";
import { EsModuleRequires } from "./es-module-requires.ts";
import { fetchSync, type ModuleAsker } from "./fetch-sync.ts";
import { hideCommandLine } from "./hide-command-line.ts";
import { unpackModule } from "./unpack-module.ts";

/** The source of modules. */
export interface ModuleSource extends ModuleAsker {
  /** Returns the packed bytes of a module that is here and has not been taken before. */
  take(id: string): Uint8Array | undefined;
  /**
   * Asks the master for a module that the resolution maps do not name. Resolves with its id when it has
   * arrived.
   */
  fetch(parentId: string, specifier: string, kind: ImportKind): Promise<string>;
  /** Whether the module, or the library part, has been sent to this context. */
  has(id: string): boolean;
  /** The exports of `import "mitogen"`. The library part must be here. */
  library(): Record<string, unknown>;
}

/**
 * The text of a module in front of a synthetic one. In some Nodes, a synthetic module that fails also causes an
 * unhandled rejection, which ends the process. So the synthetic module keeps its error, and this one throws it.
 */
const CHECKED = "import.meta.check(); export * from 'checked'; export { default } from 'checked';";

const NODE_MAJOR = Number.parseInt(process.versions.node, 10);

/**
 * Evaluates modules with Node's semantics: ES modules by `vm.SourceTextModule`, CommonJS by {@link CommonJs}.
 * Each module is evaluated once, from memory. Nothing is read from the target's disk. Modules are never
 * unloaded.
 */
export class Evaluator {
  readonly #source: ModuleSource;
  readonly #commonJs: CommonJs;
  readonly #requires: EsModuleRequires;
  readonly #records: Map<string, ModuleRecord> = new Map();
  readonly #modules: Map<string, vm.Module> = new Map();
  /** CommonJS as modules with `isInterop` see it. */
  readonly #interops: Map<string, vm.Module> = new Map();
  /** The synthetic module behind each module with the text {@link CHECKED}. */
  readonly #behind: WeakMap<vm.Module, vm.Module> = new WeakMap();
  /** The exports of modules that were evaluated for calls, by id. */
  readonly #evaluated: Map<string, { value: unknown }> = new Map();
  /** The master's answers for specifiers that the maps do not name. */
  readonly #answers: Map<string, string> = new Map();
  readonly #builtins: Map<string, { exports: unknown }> = new Map();
  /**
   * Graphs are linked one after the other. Otherwise two graphs would link the modules that they share twice.
   */
  #linking: Promise<unknown> = Promise.resolve();

  constructor(source: ModuleSource) {
    hideCommandLine();
    this.#source = source;
    this.#commonJs = new CommonJs(this);
    this.#requires = new EsModuleRequires({
      moduleFor: (id) => this.moduleFor(id),
      importedBy: (parentId, id) => this.importedBy(parentId, id),
      record: (id) => this.record(id),
      isSent: (id) => /^(?:file|data):/.test(id) && this.isHere(id),
      resolveImport: (parentId, specifier) => this.resolveSync(parentId, specifier, "import"),
      link: (id) => this.linkInTurn(id),
    });
  }

  /** The exports of a module that was evaluated for a call. */
  evaluated(id: string): { value: unknown } | undefined {
    return this.#evaluated.get(id);
  }

  /**
   * Finds a function in the evaluated modules, by identity. Prefers the module that defines it to one that
   * re-exports it.
   */
  find(fn: unknown): { module: string; path: string[] } | undefined {
    const candidates: [string, unknown][] = [];
    for (const [id, { value }] of this.#evaluated) candidates.push([id, value]);
    for (const [id, { status, namespace }] of this.#modules)
      if (status === "evaluated") candidates.push([id, namespace]);
    for (const [id, { exports }] of this.#builtins) candidates.push([id, exports]);
    candidates.push(["global", globalThis]);
    const found = new Map<string, string[]>();
    for (const [module, exports] of candidates) {
      const path = found.has(module) ? undefined : pathTo(fn, exports);
      if (path !== undefined) found.set(module, path);
    }
    const takesFromAnother = (id: string): boolean => {
      const { imports = {}, requires = {} } = this.#records.get(id) ?? {};
      const taken = [...Object.values(imports), ...Object.values(requires)];
      return taken.some((each) => each !== id && found.has(each));
    };
    const ids = [...found.keys()];
    const module = ids.find((id) => !takesFromAnother(id)) ?? ids[0];
    return module === undefined ? undefined : { module, path: found.get(module) as string[] };
  }

  /**
   * Evaluates a module and returns its exports as references name them: a namespace, or `module.exports`. The
   * value is boxed, because a module that exports `then` would be taken for a promise.
   */
  async evaluate(id: string): Promise<{ value: unknown }> {
    const isCommonJs = this.record(id).format === "commonjs";
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

  record(id: string): ModuleRecord {
    let record = this.#records.get(id);
    if (record === undefined) {
      const packed = this.#source.take(id);
      if (packed === undefined) {
        throw Object.assign(new Error(`Cannot find module '${id}': it was not sent to this context`), {
          code: "ERR_MODULE_NOT_FOUND",
        });
      }
      record = unpackModule(id, packed);
      this.#records.set(id, record);
    }
    return record;
  }

  /** Returns the module itself, or one in the same folder or a folder above. */
  neighbourOf(id: string): string | undefined {
    if (this.#records.has(id)) return id;
    const folderOf = (each: string): string => each.slice(0, each.lastIndexOf("/") + 1);
    const neighbours = [...this.#records.keys()].filter((each) => id.startsWith(folderOf(each)));
    return neighbours.sort((a, b) => folderOf(b).length - folderOf(a).length)[0];
  }

  resolveKnown(parentId: string, specifier: string, kind: ImportKind): string | undefined {
    if (isBuiltin(specifier)) return specifier;
    // In a request, an empty specifier means the asking module itself.
    if (specifier === "")
      throw coded("ERR_MODULE_NOT_FOUND", `Cannot find package '' imported from ${parentId}`);
    // A computed specifier. The master has not seen it, so perhaps it has not sent the library.
    if (specifier === MITOGEN) return this.#source.has(API) ? MITOGEN : undefined;
    const { imports, requires } = this.record(parentId);
    const map = kind === "import" ? imports : requires;
    const named: string | undefined = Object.getOwnPropertyDescriptor(map, specifier)?.value;
    if (named?.startsWith(MISSING) !== true)
      return named ?? this.#answers.get(`${kind} ${parentId} ${specifier}`);
    const [code = "", ...words] = named.slice(MISSING.length).split(" ");
    throw coded(code, words.join(" "));
  }

  resolveSync(parentId: string, specifier: string, kind: ImportKind): string {
    const known = this.resolveKnown(parentId, specifier, kind);
    if (known !== undefined && this.isHere(known)) return known;
    return this.remember(parentId, specifier, kind, fetchSync(this.#source, parentId, specifier, kind));
  }

  async importDynamically(parentId: string, specifier: unknown): Promise<unknown> {
    const id = await this.resolve(parentId, String(specifier));
    if (this.#requires.needsPreparation) await this.#requires.prepare(id);
    // Not its namespace, because a module that exports `then` would be taken for a promise, and be called too early.
    return await this.run(id);
  }

  requireEsModule(id: string): unknown {
    return this.#requires.require(id);
  }

  external(id: string): { exports: unknown } | undefined {
    if (id === MITOGEN) return { exports: this.#source.library() };
    if (id.startsWith(PROVIDED))
      return { exports: provided(id.slice(PROVIDED.length), this.#commonJs.requireOfTarget()) };
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
        const behind = this.#behind.get(referrer);
        const { identifier } = referrer;
        const found = behind ?? this.importedBy(identifier, await this.resolve(identifier, specifier));
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
    if (!this.record(parentId).isInterop || !/^file:/.test(id)) return this.moduleFor(id);
    const { format, exports } = this.record(id);
    if (format !== "commonjs") return this.moduleFor(id);
    let module = this.#interops.get(id);
    if (module === undefined) {
      module = this.facadeOfCommonJs(id, exports, true);
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
      if (id === MITOGEN) return synthetic(id, Object.keys(values), () => values);
      const names = Object.keys(values).filter((name) => name !== "default");
      return synthetic(id, ["default", ...names], () => ({ ...values, default: values }));
    }
    const record = this.record(id);
    if (record.format === "json")
      return this.checked(id, ["default"], () => ({ default: this.#commonJs.require(id) }));
    if (record.format === "commonjs") return this.facadeOfCommonJs(id, record.exports);
    try {
      return new vm.SourceTextModule(record.source, {
        identifier: id,
        initializeImportMeta: (meta: ImportMeta) => this.fillMeta(meta, id),
        importModuleDynamically: ((specifier: string) => this.importDynamically(id, specifier)) as never,
      });
    } catch (error) {
      // The stack of a SyntaxError in CommonJS begins with its place. For ES modules, Node prints the place only if
      // nobody catches the error.
      const { stack } = error as Error;
      throw Object.defineProperty(error, "stack", { value: `${id}\n\n${stack}` });
    }
  }

  private facadeOfCommonJs(id: string, exportNames: readonly string[], isInterop = false): vm.Module {
    const always = NODE_MAJOR >= 23 && !isInterop ? ["default", "module.exports"] : ["default"];
    const names = [...new Set([...always, ...exportNames])];
    const evaluate = (): Record<string, unknown> => {
      const exports = this.#commonJs.require(id) as { default?: unknown };
      const values: Record<string, unknown> = {};
      for (const name of exportNames) values[name] = ownValue(exports, name);
      if (isInterop && ownValue(exports, "__esModule")) return { ...values, default: exports.default };
      for (const name of always) values[name] = exports;
      return values;
    };
    return this.checked(id, names, evaluate);
  }

  /** Makes a synthetic module whose `evaluate` may throw. Among its names is `default`. */
  private checked(id: string, names: string[], evaluate: () => Record<string, unknown>): vm.Module {
    if (NODE_MAJOR < 14 || NODE_MAJOR > 20) return synthetic(id, names, evaluate);
    let failure: { error: unknown } | undefined;
    const inner = synthetic(id, names, () => {
      try {
        return evaluate();
      } catch (error) {
        failure = { error };
        return {};
      }
    });
    const check = (): void => {
      if (failure !== undefined) throw failure.error;
    };
    const outer = new vm.SourceTextModule(CHECKED, {
      identifier: id,
      initializeImportMeta: (meta: object) => Object.assign(meta, { check }),
    });
    this.#behind.set(outer, inner);
    return outer;
  }

  private fillMeta(meta: ImportMeta, id: string): void {
    const resolve = (specifier: string): string => {
      // As in Node, a module named by its place need not exist.
      const isPlace = /^(?:\.{0,2}\/|[a-z][a-z\d+.-]*:)/i.test(specifier) && !isBuiltin(specifier);
      const known = isPlace
        ? attempt(() => this.resolveKnown(id, specifier, "import"))
        : this.resolveKnown(id, specifier, "import");
      const found =
        known ?? (isPlace ? new URL(specifier, id).href : this.resolveSync(id, specifier, "import"));
      if (found.startsWith(PROVIDED)) {
        return pathToFileURL(this.#commonJs.requireOfTarget().resolve(found.slice(PROVIDED.length))).href;
      }
      return isBuiltin(found) && !found.startsWith("node:") ? `node:${found}` : found;
    };
    if (!id.startsWith("file:")) {
      Object.assign(meta, { resolve, url: id });
      return;
    }
    const filename = fileURLToPath(id);
    Object.assign(meta, { dirname: dirname(filename), filename, main: false, resolve, url: id });
  }

  private async resolve(parentId: string, specifier: string): Promise<string> {
    const known = this.resolveKnown(parentId, specifier, "import");
    if (known !== undefined && this.isHere(known)) return known;
    return this.remember(
      parentId,
      specifier,
      "import",
      await this.#source.fetch(parentId, specifier, "import"),
    );
  }

  private remember(parentId: string, specifier: string, kind: ImportKind, id: string): string {
    this.#answers.set(`${kind} ${parentId} ${specifier}`, id);
    return id;
  }

  /**
   * Whether a known module is here. Modules behind `import()`, or behind a `require` in a `try`, are named in maps
   * but may not have been sent.
   */
  private isHere(id: string): boolean {
    return this.#records.has(id) || this.#source.has(id) || !/^(?:file|data):/.test(id);
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

/** Returns the export of a CommonJS module under a name from its text. As in Node, undefined if there is none. */
function ownValue(exports: unknown, name: string): unknown {
  if (exports === null || exports === undefined) return undefined;
  if (Object.getOwnPropertyDescriptor(exports, name) === undefined) return undefined;
  try {
    return (exports as Record<string, unknown>)[name];
  } catch {
    return undefined;
  }
}

/** Requires a package that the target has itself. */
function provided(name: string, require: NodeJS.Require): unknown {
  try {
    return require(name);
  } catch (cause) {
    const message = `Cannot load '${name}', which is marked as provided by the target, from ${process.cwd()}`;
    throw Object.assign(new Error(`${message}: ${messageOf(cause)}`), {
      code: read(cause as object, "code") ?? "MODULE_NOT_FOUND",
      cause,
    });
  }
}

/** Makes an error of Node's resolver. Its errors about the text of a specifier or an import are TypeErrors. */
function coded(code: string, message: string): Error {
  const isType = /INVALID_MODULE_SPEC|IMPORT_(?:A|NOT)|FILE_EXT/.test(code);
  return Object.assign(isType ? new TypeError(message) : new Error(message), { code });
}

/** Returns the path to a function in a module's exports: the exports, one of them, or a static member of one. */
function pathTo(fn: unknown, exports: unknown): string[] | undefined {
  if (exports === fn) return [];
  for (const [name, descriptor] of Object.entries(Object.getOwnPropertyDescriptors(exports ?? {}))) {
    const { value } = descriptor;
    if (value === fn) return [name];
    const isContainer = typeof value === "function" || (name === "promises" && typeof value === "object");
    if (!isContainer || value === null) continue;
    for (const key of Object.getOwnPropertyNames(value)) {
      if (Object.getOwnPropertyDescriptor(value, key)?.value === fn) return [name, key];
    }
  }
  return undefined;
}
