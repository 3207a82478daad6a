import { extname } from "node:path";
import { fileURLToPath } from "node:url";
import type { Loader } from "esbuild";
import { ModuleError } from "../module-error.ts";
import type { ModuleFormat, ModuleRecord } from "../module-record.ts";
import { parseDataUrl } from "../resolve/data-url.ts";
import { libraryAliases } from "../resolve/library-aliases.ts";
import { declaredFormat } from "../resolve/module-format.ts";
import { isInstalled } from "../resolve/package-scope.ts";
import { readSource, sourceText } from "../resolve/source-text.ts";
import { compilerOptions } from "../resolve/tsconfig.ts";
import { mayCompileToCommonJs, runsUnderLoader } from "../resolve/typescript-rules.ts";
import { isEntryModule, neutralizeEntryModule } from "../syntax/entry-guard.ts";
import { type ImportType, importTypes, withoutAttributes } from "../syntax/import-attributes.ts";
import { withInterop } from "../syntax/import-interop.ts";
import { loadParser } from "../syntax/parser.ts";
import { mayHoldTests, withoutTests } from "../syntax/test-file.ts";
import type { Draft, DraftCache } from "./draft-cache.ts";
import { jsonAsCommonJs, jsonAsModule } from "./json-module.ts";
import { StackMapper } from "./stack-mapper.ts";
import { isOld, knowsAttributes, NEWEST, versionClass } from "./target-version.ts";
import { isEither, lower, toJavaScript } from "./to-javascript.ts";

/** A module as a child with one Node version can evaluate it. Its specifiers are not resolved yet. */
export interface CompiledModule {
  readonly id: string;
  readonly format: ModuleFormat;
  readonly source: string;
  /** See {@link ModuleRecord.isInterop}. */
  readonly isInterop: boolean;
  /** The types that its imports ask for by attributes, by specifier. */
  readonly types: ReadonlyMap<string, ImportType>;
}

/**
 * esbuild's loader by extension. A file with another extension is CommonJS for `require` and an error for
 * `import`.
 */
const LOADERS: Readonly<Record<string, Loader>> = {
  ...{ ".js": "js", ".mjs": "js", ".cjs": "js", ".jsx": "jsx", ".json": "json" },
  ...{ ".ts": "ts", ".mts": "ts", ".cts": "ts", ".tsx": "tsx" },
};

const NO_FILE: Readonly<Record<string, string>> = {
  ENOENT: "there is no such file",
  ENOTDIR: "there is no such file",
  EISDIR: "it is a directory",
};

interface CompilerParts {
  readonly isEntry?: (id: string) => boolean;
  readonly readText?: (id: string) => Promise<string>;
  readonly stacks?: StackMapper;
  /** If absent, every program compiles for itself. */
  readonly cache?: DraftCache;
}

/**
 * Turns files into JavaScript for one Node version. A file is read and compiled once for each class of
 * versions that need the same text, however many contexts ask for it. It is not read again until
 * {@link invalidate}: like a module in Node's own cache, it stays as it was when the program started.
 */
export class Compiler {
  readonly #compiled = new Map<string, Promise<CompiledModule>>();
  readonly #texts = new Map<string, Promise<string>>();
  readonly #stacks: StackMapper;
  readonly #isEntry: (id: string) => boolean;
  readonly #readText: (id: string) => Promise<string>;
  readonly #cache: DraftCache | undefined;

  constructor(parts: CompilerParts = {}) {
    this.#isEntry = parts.isEntry ?? isEntryModule;
    this.#readText = parts.readText ?? readSource;
    this.#stacks = parts.stacks ?? new StackMapper();
    this.#cache = parts.cache;
  }

  /**
   * Makes a compiler that reads other texts. Both compilers share the source maps for stacks. The results of the
   * new one are not kept for later programs.
   */
  reading(readText: (id: string) => Promise<string>): Compiler {
    return new Compiler({ isEntry: this.#isEntry, readText, stacks: this.#stacks });
  }

  /** Forgets a file, or all files. The next `compile` reads it again. */
  invalidate(id?: string): void {
    for (const key of this.#compiled.keys()) {
      if (id === undefined || key.endsWith(` ${id}`)) this.#compiled.delete(key);
    }
    if (id === undefined) this.#texts.clear();
    else this.#texts.delete(id);
  }

  /** Whether a file that was read has another text now, or is gone. */
  async hasChanged(): Promise<boolean> {
    const changed = await Promise.all(
      [...this.#texts].map(async ([id, kept]) => {
        const texts = await Promise.all([kept, this.#readText(id).then(sourceText)]).catch(() => undefined);
        return texts === undefined || texts[0] !== texts[1];
      }),
    );
    return changed.includes(true);
  }

  /** Compiles a module. `target` is the Node version of the context that will evaluate it, `"20.11.1"`. */
  compile(id: string, target: string): Promise<CompiledModule> {
    const key = `${versionClass(target)} ${id}`;
    let compiled = this.#compiled.get(key);
    if (compiled === undefined) {
      compiled = this.#compile(id, target);
      this.#compiled.set(key, compiled);
      // Failures are not kept, because the file may be fixed while the program runs.
      const failed = compiled;
      failed.catch(() => {
        if (this.#compiled.get(key) !== failed) return;
        this.#compiled.delete(key);
        this.#texts.delete(id);
      });
    }
    return compiled;
  }

  /**
   * Replaces places in modules that were compiled here by places in their sources. `stack` may be any text, from
   * anybody.
   */
  originalStack(stack: string, target?: string): string {
    return this.#stacks.originalStack(stack, target && versionClass(target));
  }

  async #compile(id: string, target: string): Promise<CompiledModule> {
    if (id.startsWith("data:")) return this.#compileDataUrl(id, target);
    const extension = extname(fileURLToPath(id));
    const text = await this.read(id).catch((error) => {
      throw missingFile(id, error);
    });
    // Under tsx, JSON has named exports.
    if (extension === ".json") return plain(id, (runsUnderLoader() && jsonAsCommonJs(text)) || json(text));
    const draft = await this.#draft(id, text, LOADERS[extension] ?? "js", target);
    this.#stacks.add(id, versionClass(target), draft.map);
    const parsed = knowsAttributes(target) ? draft.source : withoutAttributes(draft.source);
    // tsx leaves only CommonJS in `.js` files as it is.
    const hasInterop = runsUnderLoader() && (extension !== ".js" || draft.format === "module");
    const source = hasInterop ? withInterop(parsed) : parsed;
    return {
      id,
      format: draft.format,
      source: withoutHashbang(source),
      isInterop: draft.format === "module" && isEither(declaredFormat(id)),
      types: importTypes(draft.source),
    };
  }

  async #compileDataUrl(id: string, target: string): Promise<CompiledModule> {
    const { format, text } = parseDataUrl(id);
    // No `require` can reach a `data:` URL, so the JSON can be an ES module.
    if (format === "json") return plain(id, jsonAsModule(text));
    const { source } = await lower(id, { format, source: text, map: "" }, target);
    return plain(id, { format, source: knowsAttributes(target) ? source : withoutAttributes(source) });
  }

  async #draft(id: string, text: string, loader: Loader, target: string): Promise<Draft> {
    const aliases = this.#isEntry(id) ? libraryAliases(id, text) : undefined;
    const hasTests = !isInstalled(fileURLToPath(id)) && mayHoldTests(text);
    const isParsed = aliases !== undefined || hasTests;
    const make = (): Promise<Draft> =>
      isParsed
        ? this.#parsedDraft(id, text, loader, target, { aliases, hasTests })
        : toJavaScript(id, text, loader, target);
    // Without compilation, the draft is the text itself, which needs no cache.
    const isCompiled = isParsed || loader !== "js" || isOld(target);
    if (this.#cache === undefined || !isCompiled) return make();
    const usesEsbuild = loader !== "js" || isOld(target);
    const tools = [...(usesEsbuild ? ["esbuild"] : []), ...(isParsed ? ["acorn"] : [])];
    const options = loader === "js" ? {} : compilerOptions(fileURLToPath(id));
    const surroundings = [declaredFormat(id), mayCompileToCommonJs(), options, aliases, hasTests];
    return this.#cache.draft([id, text, loader, versionClass(target), ...surroundings], tools, make);
  }

  /** Compiles an entry script, or a file with tests. */
  async #parsedDraft(
    id: string,
    text: string,
    loader: Loader,
    target: string,
    { aliases, hasTests }: { aliases: readonly string[] | undefined; hasTests: boolean },
  ): Promise<Draft> {
    // The work and the tests are removed before the text is lowered, because they may use syntax that cannot be
    // lowered (top-level await).
    const newest = await toJavaScript(id, text, loader, NEWEST);
    await loadParser();
    const idle = hasTests ? withoutTests(newest.source, newest.format) : newest.source;
    const source = aliases === undefined ? idle : neutralizeEntryModule(id, idle, newest.format, aliases);
    return lower(id, { ...newest, source }, target);
  }

  /** Returns the text of a file, as it was when it was first read. */
  read(id: string): Promise<string> {
    let text = this.#texts.get(id);
    if (text === undefined) {
      text = this.#readText(id).then(sourceText);
      this.#texts.set(id, text);
      const failed = text;
      failed.catch(() => {
        if (this.#texts.get(id) === failed) this.#texts.delete(id);
      });
    }
    return text;
  }

  /** Forgets the text of a file, unless it has been compiled here. The next {@link read} reads it again. */
  forget(id: string): void {
    const isUsed = [...this.#compiled.keys()].some((key) => key.endsWith(` ${id}`));
    if (!isUsed) this.#texts.delete(id);
  }
}

/** The error of a module that was named by its file: nothing has resolved it, so there may be no such file. */
function missingFile(id: string, cause: NodeJS.ErrnoException): unknown {
  const reason = NO_FILE[cause.code ?? ""];
  return reason === undefined
    ? cause
    : new ModuleError("ERR_MODULE_NOT_FOUND", `Cannot send ${id}: ${reason}`, { cause });
}

function plain(id: string, { format, source }: Pick<Draft, "format" | "source">): CompiledModule {
  return { id, format, source, isInterop: false, types: new Map() };
}

function json(source: string): Pick<Draft, "format" | "source"> {
  return { format: "json", source };
}

/** Comments the hashbang out, because not every evaluator skips it. Lines keep their numbers. */
function withoutHashbang(source: string): string {
  return source.startsWith("#!") ? `//${source.slice(2)}` : source;
}
