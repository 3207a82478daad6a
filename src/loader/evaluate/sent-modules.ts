import { API, isBuiltin, MITOGEN } from "../builtins.ts";
import { type ImportKind, MISSING, type ModuleRecord } from "../module-record.ts";
import { fetchSync, type ModuleAsker } from "./fetch-sync.ts";
import { unpackModule } from "./unpack-module.ts";

/** What `SentModules` needs from the importer. */
export interface SentModulesHost extends ModuleAsker {
  /** Returns the packed bytes of a module that is here and has not been taken before. */
  take(id: string): Uint8Array | undefined;
  /**
   * Asks the master for a module that the resolution maps do not name. Resolves with its id when it has
   * arrived.
   */
  fetch(parentId: string, specifier: string, kind: ImportKind): Promise<string>;
  /** Whether the module, or the library part, has been sent to this context. */
  has(id: string): boolean;
}

/** The modules that were sent to this context, and what their specifiers mean. */
export class SentModules {
  readonly #host: SentModulesHost;
  readonly #records: Map<string, ModuleRecord> = new Map();
  /** The master's answers for specifiers that the maps do not name. */
  readonly #answers: Map<string, string> = new Map();

  constructor(host: SentModulesHost) {
    this.#host = host;
  }

  record(id: string): ModuleRecord {
    let record = this.#records.get(id);
    if (record === undefined) {
      const packed = this.#host.take(id);
      if (packed === undefined) {
        throw coded("ERR_MODULE_NOT_FOUND", `Cannot find module '${id}': it was not sent to this context`);
      }
      record = unpackModule(id, packed);
      this.#records.set(id, record);
    }
    return record;
  }

  isSent(id: string): boolean {
    return this.#host.has(id);
  }

  /** What a module imports and requires by name. Nothing if the module has not been unpacked. */
  dependenciesOf(id: string): string[] {
    const { imports = {}, requires = {} } = this.#records.get(id) ?? {};
    return [...Object.values(imports), ...Object.values(requires)];
  }

  /**
   * Returns an unpacked module: `id` itself, or one in the folder of the file `id`, or above. Undefined if there is
   * none.
   */
  neighbourOf(id: string): string | undefined {
    if (this.#records.has(id)) return id;
    const folderOf = (each: string): string => each.slice(0, each.lastIndexOf("/") + 1);
    const neighbours = [...this.#records.keys()].filter((each) => id.startsWith(folderOf(each)));
    return neighbours.sort((a, b) => folderOf(b).length - folderOf(a).length)[0];
  }

  /** Returns the id that a specifier resolves to, if it is known here. Throws if it is known to lead nowhere. */
  resolveKnown(parentId: string, specifier: string, kind: ImportKind): string | undefined {
    if (isBuiltin(specifier)) return specifier;
    // In a request, an empty specifier means the asking module itself.
    if (specifier === "")
      throw coded("ERR_MODULE_NOT_FOUND", `Cannot find package '' imported from ${parentId}`);
    // A computed specifier. The master has not seen it, so perhaps it has not sent the library.
    if (specifier === MITOGEN) return this.isSent(API) ? MITOGEN : undefined;
    const { imports, requires } = this.record(parentId);
    const map = kind === "import" ? imports : requires;
    const named: string | undefined = Object.getOwnPropertyDescriptor(map, specifier)?.value;
    if (named?.startsWith(MISSING) !== true)
      return named ?? this.#answers.get(`${kind} ${parentId} ${specifier}`);
    const [code = "", ...words] = named.slice(MISSING.length).split(" ");
    throw coded(code, words.join(" "));
  }

  /** Returns the id that an `import` resolves to. */
  async resolve(parentId: string, specifier: string): Promise<string> {
    return (
      this.resolveHere(parentId, specifier, "import") ??
      this.remember(parentId, specifier, "import", await this.#host.fetch(parentId, specifier, "import"))
    );
  }

  /** Returns the id that a specifier resolves to. Blocks if the master must be asked. */
  resolveSync(parentId: string, specifier: string, kind: ImportKind): string {
    return (
      this.resolveHere(parentId, specifier, kind) ??
      this.remember(parentId, specifier, kind, fetchSync(this.#host, parentId, specifier, kind))
    );
  }

  /**
   * Leaves out modules that are known but not here: those behind `import()`, or behind a `require` in a `try`, are
   * named in maps but may not have been sent.
   */
  private resolveHere(parentId: string, specifier: string, kind: ImportKind): string | undefined {
    const known = this.resolveKnown(parentId, specifier, kind);
    return known === undefined || this.isSent(known) || !/^(?:file|data):/.test(known) ? known : undefined;
  }

  private remember(parentId: string, specifier: string, kind: ImportKind, id: string): string {
    this.#answers.set(`${kind} ${parentId} ${specifier}`, id);
    return id;
  }
}

/** Makes an error of Node's resolver. Its errors about the text of a specifier or an import are TypeErrors. */
function coded(code: string, message: string): Error {
  const isType = /INVALID_MODULE_SPEC|IMPORT_(?:A|NOT)|FILE_EXT/.test(code);
  return Object.assign(isType ? new TypeError(message) : new Error(message), { code });
}
