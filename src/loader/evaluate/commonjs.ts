import Module from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import * as vm from "node:vm";
import { messageOf, read } from "../../wire/values/thrown.ts";
import { type ModuleRecord, PROVIDED } from "../module-record.ts";
import type { SentModules } from "./sent-modules.ts";

/** Node's own module object. Its types lack these members. */
interface CommonJsModule extends NodeJS.Module {
  exports: unknown;
  filename: string;
  path: string;
}

type ModuleConstructor = new (id: string, parent?: NodeJS.Module) => CommonJsModule;

/** What CommonJS needs from the evaluator. */
export interface CommonJsHost {
  importDynamically(parentId: string, specifier: string): Promise<unknown>;
  /** Returns the exports of a builtin, of this library, or of a package that the target provides. */
  external(id: string): { exports: unknown } | undefined;
  requireEsModule(id: string): unknown;
}

const NODE_MAJOR = Number.parseInt(process.versions.node, 10);

const Constructor = Module as unknown as ModuleConstructor & {
  _nodeModulePaths(directory: string): string[];
  _extensions: object;
  _load(request: string, parent: unknown, isMain: boolean): unknown;
  _resolveFilename(request: string, parent: unknown, ...rest: unknown[]): string;
};

/**
 * Evaluates CommonJS as Node does: `require` with its cache, `module`, and a sloppy-mode function called on
 * `module.exports`.
 */
export class CommonJs {
  /** `require.cache`, by file name. If user code deletes an entry, the next `require` evaluates the module again. */
  readonly #cache: Record<string, CommonJsModule> = Object.create(null);
  readonly #modules: SentModules;
  readonly #host: CommonJsHost;
  /** The `require` of each module that has been evaluated here. */
  readonly #requires: WeakMap<object, NodeJS.Require> = new WeakMap();
  readonly #native: typeof Module.createRequire;

  constructor(modules: SentModules, host: CommonJsHost) {
    this.#modules = modules;
    this.#host = host;
    // For the program's files, `createRequire` must lead to the program's modules, not to the target's disk.
    const ofNode = Module.createRequire;
    this.#native = ofNode;
    Module.createRequire = (from) => {
      const isPath = typeof from === "string" && !from.startsWith("file:");
      const id = isPath ? pathToFileURL(from).href : String(from);
      const neighbour = id.startsWith("file:") ? modules.neighbourOf(id) : undefined;
      return neighbour === undefined ? ofNode(from) : this.requireFor(neighbour, undefined, id);
    };
    const { _load, _resolveFilename } = Constructor;
    const ownOf = (parent: unknown): NodeJS.Require | undefined => this.#requires.get(parent as object);
    Constructor._load = (request, parent, isMain) => {
      const own = ownOf(parent);
      return own === undefined ? _load.call(Constructor, request, parent, isMain) : own(request);
    };
    Constructor._resolveFilename = (request, parent, ...rest) => {
      const own = ownOf(parent);
      return own === undefined
        ? _resolveFilename.call(Constructor, request, parent, ...rest)
        : own.resolve(request);
    };
  }

  /** Returns `module.exports` of a module that is here. */
  require(id: string, parent?: CommonJsModule): unknown {
    const external = this.#host.external(id);
    if (external !== undefined) return external.exports;
    const filename = fileURLToPath(id);
    const known = this.#cache[filename];
    if (known !== undefined) {
      if (parent !== undefined && !parent.children.includes(known)) parent.children.push(known);
      return known.exports;
    }
    const record = this.#modules.record(id);
    if (record.format === "module") return this.#host.requireEsModule(id);
    const module = this.create(filename, parent);
    this.#cache[filename] = module;
    try {
      if (record.format === "json") module.exports = parseJson(record, filename);
      else this.run(record, module);
    } catch (error) {
      // As in Node, the next `require` evaluates a failed module again.
      delete this.#cache[filename];
      if (parent !== undefined) parent.children.splice(parent.children.indexOf(module), 1);
      throw error;
    }
    module.loaded = true;
    return module.exports;
  }

  /** Requires a package that the target has itself. `id` begins with {@link PROVIDED}. */
  requireProvided(id: string): unknown {
    const name = id.slice(PROVIDED.length);
    try {
      return this.requireOfTarget()(name);
    } catch (cause) {
      const message = `Cannot load '${name}', which is marked as provided by the target, from ${process.cwd()}`;
      throw Object.assign(new Error(`${message}: ${messageOf(cause)}`), {
        code: read(cause as object, "code") ?? "MODULE_NOT_FOUND",
        cause,
      });
    }
  }

  /** Returns the file of such a package. */
  resolveProvided(id: string): string {
    return this.requireOfTarget().resolve(id.slice(PROVIDED.length));
  }

  /** Node's own `require`, as seen from the working directory. */
  private requireOfTarget(): NodeJS.Require {
    return this.#native(join(process.cwd(), "noop.js"));
  }

  private create(filename: string, parent?: CommonJsModule): CommonJsModule {
    const module = new Constructor(filename, parent);
    module.filename = filename;
    module.path = dirname(filename);
    module.paths = Constructor._nodeModulePaths(module.path);
    return module;
  }

  private run(record: ModuleRecord, module: CommonJsModule): void {
    const require = this.requireFor(record.id, module);
    this.#requires.set(module, require);
    Object.defineProperty(module, "require", { value: require, configurable: true, writable: true });
    const compiled = compile(record.source.replace(/^#!/, "//"), {
      filename: module.filename,
      importModuleDynamically: ((specifier: string) =>
        this.#host.importDynamically(record.id, specifier)) as never,
    });
    compiled.call(module.exports, module.exports, require, module, module.filename, module.path);
  }

  /** Makes a `require` that resolves from the module `id`, or `from` a file beside it that was not sent. */
  private requireFor(id: string, module?: CommonJsModule, from = id): NodeJS.Require {
    const resolved = (specifier: string, isLookUp = false): string => {
      if (typeof specifier !== "string" || specifier === "") throw invalidSpecifier(specifier);
      const isRelative = from !== id && /^\.{1,2}(?:\/|$)/.test(specifier);
      const asked = isRelative ? join(fileURLToPath(new URL(".", from)), specifier) : specifier;
      const known = isLookUp ? this.#modules.resolveKnown(id, asked, "require") : undefined;
      return known ?? this.#modules.resolveSync(id, asked, "require");
    };
    const require = (specifier: string): unknown => this.require(resolved(specifier), module);
    const resolve = (specifier: string, options?: { paths?: string[] }): string => {
      if (options?.paths !== undefined) {
        throw notFound(
          `Cannot find module '${specifier}': require.resolve with paths does not work in a context`,
        );
      }
      const found = resolved(specifier, true);
      if (found.startsWith(PROVIDED)) return this.resolveProvided(found);
      return found.startsWith("file:") ? fileURLToPath(found) : found;
    };
    return Object.assign(require, {
      resolve: Object.assign(resolve, { paths: this.#native(fileURLToPath(id)).resolve.paths }),
      main: undefined,
      extensions: Constructor._extensions,
      cache: this.#cache,
    }) as unknown as NodeJS.Require;
  }
}

const PARAMETERS = ["exports", "require", "module", "__filename", "__dirname"];
const HEAD = `(function(${PARAMETERS.join(",")}){`;

type Hooks = { filename: string; importModuleDynamically: never };

function compile(source: string, options: Hooks): (...args: unknown[]) => unknown {
  if (NODE_MAJOR >= 16) return vm.compileFunction(source, PARAMETERS, options) as never;
  // In older Nodes, `import()` does not work in a compiled function.
  const script = new vm.Script(`${HEAD}${source}\n})`, { ...options, columnOffset: -HEAD.length });
  return script.runInThisContext() as never;
}

function invalidSpecifier(specifier: unknown): TypeError {
  const message =
    specifier === ""
      ? "The argument 'id' must be a non-empty string. Received ''"
      : `The "id" argument must be of type string. Received ${specifier === null ? "null" : typeof specifier}`;
  const code = specifier === "" ? "ERR_INVALID_ARG_VALUE" : "ERR_INVALID_ARG_TYPE";
  return Object.assign(new TypeError(message), { code });
}

function notFound(message: string): Error {
  return Object.assign(new Error(message), { code: "MODULE_NOT_FOUND" });
}

function parseJson(record: ModuleRecord, filename: string): unknown {
  try {
    return JSON.parse(record.source.replace(/^\uFEFF/, ""));
  } catch (error) {
    (error as Error).message = `${filename}: ${(error as Error).message}`;
    throw error;
  }
}
