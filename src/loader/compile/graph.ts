import { fileURLToPath } from "node:url";
import { MITOGEN } from "../builtins.ts";
import { ModuleError } from "../module-error.ts";
import { type ImportKind, MISSING, type ModuleRecord, PROVIDED } from "../module-record.ts";
import { isCode } from "../resolve/module-format.ts";
import { packageNames } from "../resolve/module-pattern.ts";
import type { Destination } from "../resolve/resolve.ts";
import { printChain } from "../short-name.ts";
import type { ImportType } from "../syntax/import-attributes.ts";
import { type ScannedImport, scanModule } from "../syntax/scan.ts";
import type { CompiledModule } from "./compile.ts";
import { checkImport, importError } from "./import-rules.ts";
import { versionClass } from "./target-version.ts";

/** How specifiers are resolved and files compiled, and which modules may never travel. */
export interface GraphRules {
  /** Resolves a specifier. Throws Node's own error if there is no such module. */
  resolve(specifier: string, parentId: string, kind: ImportKind): Destination;
  compile(id: string, target: string): Promise<CompiledModule>;
  /** The rule that keeps a module from travelling, or undefined. */
  denial(id: string): string | undefined;
  /** Whether the program has given its own text for the module. The file is then ignored. */
  hasOverride(id: string): boolean;
}

/** A module and its dependencies. */
interface GraphNode {
  readonly record: ModuleRecord;
  /** The modules that a context must have before this one runs, in source order. */
  readonly edges: readonly Edge[];
  /** The modules whose exports this one re-exports. Only for CommonJS. */
  readonly reexports: readonly string[];
}

interface Edge {
  readonly id: string;
  /** Whether the `require` is in a `try` block. The child then finds out if something behind it fails. */
  readonly isOptional: boolean;
}

/** A Map or a WeakMap. */
interface Cache<K, V> {
  get(key: K): V | undefined;
  set(key: K, value: V): unknown;
  delete(key: K): boolean;
}

const MAX_CONCURRENT_LOADS = 32;

/**
 * Finds the modules that remotely called functions need, by reading imports. Everything is loaded once for
 * each class of Node versions. A second request for the same graph reads no file.
 */
export class ModuleGraph {
  readonly #rules: GraphRules;
  readonly #nodes = new Map<string, Promise<GraphNode>>();
  /** The records of modules that re-export other modules. */
  #records = new WeakMap<GraphNode, Promise<ModuleRecord>>();
  readonly #orders = new Map<string, Promise<GraphNode[]>>();
  #loading = 0;
  readonly #waiting: (() => void)[] = [];

  constructor(rules: GraphRules) {
    this.#rules = rules;
  }

  /** Forgets a module, or all modules, for later requests. Its imports are read again. */
  invalidate(id?: string): void {
    for (const key of this.#nodes.keys()) {
      if (id === undefined || key.endsWith(` ${id}`)) this.#nodes.delete(key);
    }
    this.#records = new WeakMap();
    this.#orders.clear();
  }

  /**
   * Returns one module for a context with the Node version `target`. Its specifiers are resolved, but the
   * modules they mean are not loaded.
   */
  async record(id: string, target: string): Promise<ModuleRecord> {
    return this.#recordOf(await this.#node(id, target), target);
  }

  /**
   * Returns the modules that a context needs to import `id`, dependencies first, without those that it `has`.
   * Leaves out modules behind `import()`. Rejects if a required module is missing, is native or does not compile.
   */
  async closure(id: string, target: string, has: (id: string) => boolean): Promise<ModuleRecord[]> {
    const order = await remember(this.#orders, `${versionClass(target)} ${id}`, () =>
      this.#order(id, target),
    );
    const missing = order.filter(({ record }) => !has(record.id));
    return Promise.all(missing.map((node) => this.#recordOf(node, target)));
  }

  #recordOf(node: GraphNode, target: string): Promise<ModuleRecord> | ModuleRecord {
    if (node.reexports.length === 0) return node.record;
    return remember(this.#records, node, async () => {
      const exports = new Set<string>();
      await this.#collectExports(node, target, exports, new Set([node.record.id]));
      return { ...node.record, exports: [...exports] };
    });
  }

  #node(id: string, target: string): Promise<GraphNode> {
    return remember(this.#nodes, `${versionClass(target)} ${id}`, () => this.#load(id, target));
  }

  async #load(id: string, target: string): Promise<GraphNode> {
    const denial = this.#rules.denial(id);
    if (denial !== undefined) throw new Untravelable((chain) => deniedError(chain, denial));
    if (isNative(id)) throw new Untravelable(nativeError);
    await this.#enter();
    try {
      const { format, source, types, isInterop } = await this.#rules.compile(id, target);
      const scanned = scanModule(source, format, id);
      const found: Record<ImportKind, Map<string, string>> = { import: new Map(), require: new Map() };
      const edges: Edge[] = [];
      const broken = new Map<string, Error>();
      let usesLibrary = false;
      for (const entry of lookUpsLast(scanned.imports)) {
        const { specifier, kind, isDynamic, isLookUp, isOptional } = entry;
        if (isLookUp && found[kind].has(specifier)) continue;
        const resolution = this.#resolve(entry, id, types.get(specifier));
        if (isLookUp && !isWorthNaming(resolution)) continue;
        if (resolution instanceof Error) {
          broken.set(`${kind} ${specifier}`, resolution);
          found[kind].set(specifier, missingValue(resolution));
          continue;
        }
        if ("provided" in resolution) {
          found[kind].set(specifier, PROVIDED + resolution.provided);
          continue;
        }
        if ("builtin" in resolution) {
          const { builtin } = resolution;
          usesLibrary ||= builtin === MITOGEN;
          if (!isNameOf(specifier, builtin)) found[kind].set(specifier, builtin);
          continue;
        }
        if (!isDynamic) edges.push({ id: resolution.id, isOptional });
        if (isNative(resolution.id)) continue;
        found[kind].set(specifier, resolution.id);
      }
      const reexports = scanned.reexports
        .map((specifier) => found.require.get(specifier))
        .filter((one) => one !== undefined);
      const imports = Object.fromEntries(found.import);
      const requires = Object.fromEntries(found.require);
      const exports = format === "commonjs" ? scanned.exports : [];
      const record = { id, format, source, imports, requires, exports, isInterop, usesLibrary, broken };
      return { record, edges, reexports };
    } finally {
      this.#leave();
    }
  }

  /**
   * Resolves a specifier. Returns Node's error for a missing module that the program may never need: the child
   * throws the error when it gets there.
   */
  #resolve(
    { specifier, kind, isDynamic, isLookUp }: ScannedImport,
    id: string,
    type: ImportType | undefined,
  ): Destination | Error {
    try {
      const resolution = this.#rules.resolve(specifier, id, kind);
      if (kind === "import" && !isLookUp && "id" in resolution && !this.#rules.hasOverride(resolution.id))
        checkImport(resolution.id, id, type);
      return resolution;
    } catch (cause) {
      // A `require` that never runs may name anything. One that runs fails in the child as it would here.
      if (kind === "require" || isDynamic) return cause as Error;
      throw importError(specifier, id, cause as Error);
    }
  }

  async #collectExports(
    node: GraphNode,
    target: string,
    into: Set<string>,
    seen: Set<string>,
  ): Promise<void> {
    for (const name of node.record.exports) into.add(name);
    for (const id of node.reexports) {
      if (seen.has(id)) continue;
      seen.add(id);
      const other = await this.#node(id, target).catch(() => undefined);
      if (other !== undefined) await this.#collectExports(other, target, into, seen);
    }
  }

  async #order(root: string, target: string): Promise<GraphNode[]> {
    const loaded = new Map<string, GraphNode | Error>();
    const load = async (id: string): Promise<void> => {
      const node = await this.#node(id, target).catch((error: Error) => error);
      loaded.set(id, node);
      if (node instanceof Error) return;
      const next = node.edges.filter((edge) => !loaded.has(edge.id));
      for (const edge of next) loaded.set(edge.id, PENDING);
      await Promise.all(next.map((edge) => load(edge.id)));
    };
    await load(root);
    throwFirstFailure(root, loaded);
    return dependenciesFirst(root, loaded);
  }

  /** Limits how many modules are read and compiled at once. The others wait in order. */
  async #enter(): Promise<void> {
    if (this.#loading >= MAX_CONCURRENT_LOADS)
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    else this.#loading++;
  }

  #leave(): void {
    const next = this.#waiting.shift();
    if (next === undefined) this.#loading--;
    else next();
  }
}

/** Thrown for a module that may not be sent. The final error is made where the chain of imports is known. */
class Untravelable extends Error {
  readonly explain: (chain: readonly string[]) => ModuleError;

  constructor(explain: (chain: readonly string[]) => ModuleError) {
    super("it does not travel");
    this.explain = explain;
  }
}

const PENDING = new Error("still loading");

/** A look-up must not hide what an `import()` of the same specifier leads to. */
function lookUpsLast(imports: readonly ScannedImport[]): ScannedImport[] {
  return [...imports.filter(({ isLookUp }) => !isLookUp), ...imports.filter(({ isLookUp }) => isLookUp)];
}

/**
 * Whether a context gets the result of a look-up. A context may ask for every module that it has the name of, so only
 * code is named.
 */
function isWorthNaming(resolution: Destination | Error): boolean {
  if (resolution instanceof Error || !("id" in resolution)) return true;
  return resolution.id.startsWith("file:") && isCode(fileURLToPath(resolution.id));
}

/** Returns the entry for a missing module. The importing module takes it along, so that the child need not ask. */
function missingValue(error: Error): string {
  return `${MISSING}${(error as { code?: string }).code ?? "MODULE_NOT_FOUND"} ${error.message}`;
}

/** Whether the specifier alone tells a child which builtin is meant. */
function isNameOf(specifier: string, builtin: string): boolean {
  return specifier === builtin || `node:${specifier}` === builtin;
}

/** Throws the first failure among the modules that the root requires. Modules behind a `try` may fail. */
function throwFirstFailure(root: string, loaded: ReadonlyMap<string, GraphNode | Error>): void {
  const parents = new Map<string, string | undefined>([[root, undefined]]);
  for (const [id] of parents) {
    const node = loaded.get(id);
    if (node === undefined) continue;
    if (node instanceof Untravelable) throw node.explain(chainTo(id, parents));
    if (node instanceof Error) throw node;
    for (const edge of node.edges) if (!edge.isOptional && !parents.has(edge.id)) parents.set(edge.id, id);
  }
}

/** Returns the loaded modules, dependencies first. Does not recurse: a chain of imports may exceed the stack. */
function dependenciesFirst(root: string, loaded: ReadonlyMap<string, GraphNode | Error>): GraphNode[] {
  const order: GraphNode[] = [];
  const seen = new Set([root]);
  const open: { node: GraphNode; next: number }[] = [];
  const enter = (id: string): void => {
    const node = loaded.get(id);
    if (node !== undefined && !(node instanceof Error)) open.push({ node, next: 0 });
  };
  enter(root);
  for (let top = open.at(-1); top !== undefined; top = open.at(-1)) {
    const edge = top.node.edges[top.next++];
    if (edge === undefined) {
      order.push(top.node);
      open.pop();
    } else if (!seen.has(edge.id)) {
      seen.add(edge.id);
      enter(edge.id);
    }
  }
  return order;
}

function chainTo(id: string, parents: ReadonlyMap<string, string | undefined>): string[] {
  const chain: string[] = [];
  for (let at: string | undefined = id; at !== undefined; at = parents.get(at)) chain.unshift(at);
  return chain;
}

function nativeError(chain: readonly string[]): ModuleError {
  const owner = packageNames(chain.at(-1) ?? "").at(-1) ?? "name";
  const message = `Cannot send native addon ${chain.at(-1)} to another context: ${printChain(chain)}; import it only where it is installed, or mark its package as provided by the target: router.modules.provided("${owner}")`;
  return new ModuleError("ERR_MODULE_NATIVE", message, { chain });
}

function deniedError(chain: readonly string[], rule: string): ModuleError {
  const message = `Cannot send module ${chain.at(-1)} to another context: the program's rule ${rule} forbids it: ${printChain(chain)}`;
  return new ModuleError("ERR_MODULE_DENIED", message, { chain });
}

function isNative(id: string): boolean {
  return id.endsWith(".node");
}

/** Makes a value once for each key, also for calls at the same time. Makes it again after a failure. */
function remember<K, T>(cache: Cache<K, Promise<T>>, key: K, make: () => Promise<T>): Promise<T> {
  const known = cache.get(key);
  if (known !== undefined) return known;
  const made = make();
  cache.set(key, made);
  made.catch(() => {
    if (cache.get(key) === made) cache.delete(key);
  });
  return made;
}
