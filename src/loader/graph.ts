import { relative } from "node:path";
import { fileURLToPath } from "node:url";
import type { Compiler } from "./compile.ts";
import type { ImportType } from "./import-attributes.ts";
import { checkImport } from "./import-rules.ts";
import { ModuleError, type ModuleErrorCode } from "./module-error.ts";
import type { ImportKind, ModuleRecord } from "./module-record.ts";
import { type Resolution, resolveModule } from "./resolve.ts";
import { type ScannedImport, scanModule } from "./scan.ts";
import { fileRefusal, packageRoot, specifierRefusal } from "./serve-policy.ts";
import { versionClass } from "./target-version.ts";

/** A module and what its text leads to. */
interface GraphNode {
  readonly record: ModuleRecord;
  /** What must be there before it runs, in source order. */
  readonly edges: readonly Edge[];
  /** Modules whose exports it hands on; CommonJS only. */
  readonly reexports: readonly string[];
}

interface Edge {
  readonly id: string;
  /** It stands in a `try` block: a failure behind it is left for the child to find. */
  readonly isOptional: boolean;
}

/** Why a request from a child is not served. */
export interface Refusal {
  readonly refused: string;
  /** What Node itself throws for that import; the program's own matter, and no attack. */
  readonly error?: { readonly code: string; readonly message: string };
}

const MAX_CONCURRENT_LOADS = 32;

/**
 * The modules that functions called remotely need, found by reading imports. Everything is loaded once per class of
 * Node versions; a second request for the same graph touches no file.
 */
export class ModuleGraph {
  readonly #compiler: Compiler;
  readonly #nodes = new Map<string, Promise<GraphNode>>();
  readonly #records = new Map<string, Promise<ModuleRecord>>();
  readonly #orders = new Map<string, Promise<GraphNode[]>>();
  /** Errors of `import()`s that only the program's own text shows, by `<id> <specifier>`; a child's request is none. */
  readonly #broken = new Map<string, Error>();
  readonly #vouched = { ids: new Set<string>(), packageRoots: new Set<string>() };
  #loading = 0;
  readonly #waiting: (() => void)[] = [];

  constructor(compiler: Compiler) {
    this.#compiler = compiler;
  }

  /** One module for a context of Node version `target`. Its specifiers are resolved, nothing behind them is loaded. */
  record(id: string, target: string): Promise<ModuleRecord> {
    return remember(this.#records, `${versionClass(target)} ${id}`, async () => {
      const node = await this.#node(id, target);
      if (node.reexports.length === 0) return node.record;
      const exports = new Set<string>();
      await this.#collectExports(node, target, exports, new Set([id]));
      return { ...node.record, exports: [...exports] };
    });
  }

  /**
   * What a context needs to import `id`, dependencies first, without the modules it `has`. Modules behind `import()`
   * are not among them. Rejects when something it cannot do without is missing, native or does not compile.
   */
  async closure(id: string, target: string, has: (id: string) => boolean): Promise<ModuleRecord[]> {
    const order = await remember(this.#orders, `${versionClass(target)} ${id}`, () =>
      this.#order(id, target),
    );
    const missing = order.filter(({ record }) => !has(record.id));
    return Promise.all(missing.map(({ record }) => this.record(record.id, target)));
  }

  /** Whether the graph of a function that was called names this module. */
  isVouched(id: string): boolean {
    return this.#vouched.ids.has(id);
  }

  /**
   * Decides on a request from a child, which may be hostile: for a module computed at run time, or one that lay
   * behind `import()`. `requesterHas` tells what was sent to that child. A builtin is not served: the child has it,
   * and only lacked its name.
   */
  mayServe(
    requesterHas: (id: string) => boolean,
    parentId: string,
    specifier: string,
    kind: ImportKind,
  ): Resolution | Refusal {
    if (!requesterHas(parentId) || !this.#vouched.ids.has(parentId)) {
      return { refused: "the module that asks was not sent to this context" };
    }
    if (!parentId.startsWith("file:")) return { refused: "the module that asks has no file" };
    const broken = kind === "import" && this.#broken.get(`${parentId} ${specifier}`);
    if (broken) return nodeRefusal(broken);
    const early = specifierRefusal(specifier, parentId, this.#vouched);
    if (early !== undefined) return { refused: early };
    let resolution: Resolution;
    try {
      resolution = resolveModule(specifier, parentId, kind);
    } catch (error) {
      return nodeRefusal(error as Error);
    }
    if ("builtin" in resolution) return resolution;
    // Every query would be one more module to keep.
    const id = this.#vouched.ids.has(resolution.id) ? resolution.id : resolution.id.replace(/[?#].*$/, "");
    const late = fileRefusal(id, parentId, this.#vouched);
    return late === undefined ? { id } : { refused: late };
  }

  #node(id: string, target: string): Promise<GraphNode> {
    return remember(this.#nodes, `${versionClass(target)} ${id}`, () => this.#load(id, target));
  }

  async #load(id: string, target: string): Promise<GraphNode> {
    if (isNative(id)) throw nativeError([id]);
    await this.#enter();
    try {
      const { format, source, types } = await this.#compiler.compile(id, target);
      const scanned = scanModule(source, format, id);
      const found: Record<ImportKind, Map<string, string>> = { import: new Map(), require: new Map() };
      const edges: Edge[] = [];
      const named: string[] = [];
      for (const entry of scanned.imports) {
        const { specifier, kind, isDynamic, isOptional } = entry;
        const resolution = this.#resolve(entry, id, types.get(specifier));
        if (resolution === undefined) continue;
        if ("builtin" in resolution) {
          const { builtin } = resolution;
          if (!isNameOf(specifier, builtin)) found[kind].set(specifier, builtin);
          continue;
        }
        if (!isDynamic) edges.push({ id: resolution.id, isOptional });
        if (isNative(resolution.id)) continue;
        found[kind].set(specifier, resolution.id);
        named.push(resolution.id);
      }
      this.#vouch(id, named);
      const reexports = scanned.reexports
        .map((specifier) => found.require.get(specifier))
        .filter((one) => one !== undefined);
      const imports = Object.fromEntries(found.import);
      const requires = Object.fromEntries(found.require);
      const exports = format === "commonjs" ? scanned.exports : [];
      return { record: { id, format, source, imports, requires, exports }, edges, reexports };
    } finally {
      this.#leave();
    }
  }

  /** What a specifier stands for; undefined for what may be missing and is: the child asks when it comes there. */
  #resolve(
    { specifier, kind, isDynamic }: ScannedImport,
    id: string,
    type: ImportType | undefined,
  ): Resolution | undefined {
    let resolution: Resolution | undefined;
    try {
      resolution = resolveModule(specifier, id, kind);
      if (kind === "import" && "id" in resolution) checkImport(resolution.id, id, type);
      return resolution;
    } catch (cause) {
      // A `require` that is never reached may name anything; one that is reached fails in the child as it would here.
      if (kind === "import" && !isDynamic) throw importError(specifier, id, cause as Error);
      if (resolution !== undefined || specifier.startsWith("data:"))
        this.#broken.set(`${id} ${specifier}`, cause as Error);
      return undefined;
    }
  }

  #vouch(own: string, named: readonly string[]): void {
    for (const id of [own, ...named]) this.#vouched.ids.add(id);
    const root = own.startsWith("file:") ? packageRoot(fileURLToPath(own)) : undefined;
    if (root !== undefined) this.#vouched.packageRoots.add(root);
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

  /** Bounds what is read and compiled at once; the rest waits in the order it came. */
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

const PENDING = new Error("still loading");

/** Whether a child knows by a specifier alone which of its own modules is meant. */
function isNameOf(specifier: string, builtin: string): boolean {
  return specifier === builtin || `node:${specifier}` === builtin;
}

function nodeRefusal({ code, message }: { code?: string; message: string }): Refusal {
  const refused = `it does not resolve: ${code ?? "no valid specifier"}`;
  return code === undefined ? { refused } : { refused, error: { code, message } };
}

/** The error of an import without which the importing module cannot be. */
function importError(specifier: string, id: string, cause: { code?: string; message: string }): ModuleError {
  if (IMPORT_CODES.has(cause.code ?? "")) {
    const text = `Cannot import '${specifier}' in ${id}: ${cause.message}`;
    return new ModuleError(cause.code as ModuleErrorCode, text, { cause });
  }
  const isMissing = cause.code === "ERR_MODULE_NOT_FOUND" || cause.code === "ERR_UNSUPPORTED_DIR_IMPORT";
  const detail = isMissing ? "" : `: ${cause.message}`;
  const text = `Cannot find module '${specifier}' imported from ${id}${detail}`;
  return new ModuleError("ERR_MODULE_NOT_FOUND", text, { cause });
}

const IMPORT_CODES = new Set([
  "ERR_UNKNOWN_FILE_EXTENSION",
  "ERR_UNKNOWN_MODULE_FORMAT",
  "ERR_IMPORT_ATTRIBUTE_MISSING",
  "ERR_IMPORT_ATTRIBUTE_TYPE_INCOMPATIBLE",
]);

/** Looks at what the root cannot do without; what is behind a `try` may fail. */
function throwFirstFailure(root: string, loaded: ReadonlyMap<string, GraphNode | Error>): void {
  const parents = new Map<string, string | undefined>([[root, undefined]]);
  for (const [id] of parents) {
    const node = loaded.get(id);
    if (node === undefined) continue;
    if (node instanceof Error) throw isNative(id) ? nativeError(chainTo(id, parents)) : node;
    for (const edge of node.edges) if (!edge.isOptional && !parents.has(edge.id)) parents.set(edge.id, id);
  }
}

/** Iterative: a chain of imports may be longer than the stack is deep. */
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
  const path = chain.map(shortName).join(" → ");
  const message = `Cannot send native addon ${chain.at(-1)} to another context: ${path}; import it only where it is installed, or mark its package as provided by the target`;
  return new ModuleError("ERR_MODULE_NATIVE", message);
}

function isNative(id: string): boolean {
  return id.endsWith(".node");
}

/** A path as a reader thinks of it: from its package, or from where the program runs. */
function shortName(id: string): string {
  const [, installed] = /.*\/node_modules\/(.*)$/.exec(id) ?? [];
  if (installed !== undefined || !id.startsWith("file:")) return installed ?? id.slice(0, 100);
  const path = relative(process.cwd(), fileURLToPath(id));
  return path.startsWith("..") ? fileURLToPath(id) : path;
}

/** Joins requests under way and keeps successes; a failure is tried again the next time. */
function remember<T>(cache: Map<string, Promise<T>>, key: string, make: () => Promise<T>): Promise<T> {
  let value = cache.get(key);
  if (value === undefined) {
    value = make();
    cache.set(key, value);
    value.catch(() => cache.delete(key));
  }
  return value;
}
