import { dirname, extname } from "node:path";
import { fileURLToPath } from "node:url";
import type { Loader, TransformFailure, TransformOptions } from "esbuild";
import { LIBRARY_FILE } from "../../library.ts";
import { checkDescriptors } from "../../process/system-limits.ts";
import { ModuleError } from "../module-error.ts";
import type { ModuleFormat, ModuleRecord } from "../module-record.ts";
import { ownRequire } from "../own-require.ts";
import { parseDataUrl } from "../resolve/data-url.ts";
import { libraryAliases } from "../resolve/library-aliases.ts";
import { declaredFormat, detectedFormat } from "../resolve/module-format.ts";
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
import { esbuildVersion, isOld, knowsAttributes, NEWEST, versionClass } from "./target-version.ts";

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

/** The descriptors needed to start esbuild's process. */
const ESBUILD_DESCRIPTORS = 8;
let hasTransformed = false;

/**
 * An empty map, appended to a text whose lines match its file. esbuild then ignores a map that the author may
 * have put in.
 */
const NO_MAP = "data:application/json,{}";

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
    const { source } = await this.#lower(id, { format, source: text, map: "" }, target);
    return plain(id, { format, source: knowsAttributes(target) ? source : withoutAttributes(source) });
  }

  async #draft(id: string, text: string, loader: Loader, target: string): Promise<Draft> {
    const aliases = this.#isEntry(id) ? libraryAliases(id, text) : undefined;
    const hasTests = !isInstalled(fileURLToPath(id)) && mayHoldTests(text);
    const isParsed = aliases !== undefined || hasTests;
    const make = (): Promise<Draft> =>
      isParsed
        ? this.#parsedDraft(id, text, loader, target, { aliases, hasTests })
        : this.#compileFor(target, id, text, loader);
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
    const newest = await this.#compileFor(NEWEST, id, text, loader);
    await loadParser();
    const idle = hasTests ? withoutTests(newest.source, newest.format) : newest.source;
    const source = aliases === undefined ? idle : neutralizeEntryModule(id, idle, newest.format, aliases);
    return this.#lower(id, { ...newest, source }, target);
  }

  #compileFor(target: string, id: string, text: string, loader: Loader): Promise<Draft> {
    if (loader !== "js") return this.#typeScript(id, text, loader, target);
    const format = declaredFormat(id) ?? detectedFormat(text);
    return this.#lower(id, { format, source: text, map: "" }, target);
  }

  /** Returns the text of a file, as it was when it was first read. */
  read(id: string): Promise<string> {
    let text = this.#texts.get(id);
    if (text === undefined) {
      text = this.#readText(id).then(sourceText);
      this.#texts.set(id, text);
    }
    return text;
  }

  async #typeScript(id: string, text: string, loader: Loader, target: string): Promise<Draft> {
    const declared = declaredFormat(id);
    if (declared === "commonjs") {
      const output = await this.#transform(id, text, target, {
        loader,
        format: "cjs",
        define: importMeta(id),
      });
      return { ...output, format: declared };
    }
    // tsx runs TypeScript of a package without a type as CommonJS, whichever syntax it uses.
    const options: TransformOptions = isEither(declared) ? { loader, define: commonJsPaths(id) } : { loader };
    let output = await this.#transform(id, text, target, options);
    const format = declared ?? detectedFormat(output.source);
    if (format === "module" && wantsRequire(text, declared)) {
      output = await this.#transform(id, text, target, { ...options, banner: REQUIRE });
    }
    return { ...output, format };
  }

  /** Lowers JavaScript for an older Node. Returns the text itself if nothing changes. */
  async #lower(id: string, draft: Draft, target: string): Promise<Draft> {
    const { source, map } = draft;
    if (!isOld(target)) return draft;
    const lowered = await this.#transform(id, source, target, { loader: "js" }, map);
    // Printing alone changes the text. To find out whether anything was lowered, two printed forms are compared.
    const { transform } = loadEsbuild();
    const printed = await transform(source, {
      loader: "js",
      target: "esnext",
      charset: "utf8",
      legalComments: "none",
    });
    return lowered.source === printed.code ? draft : { ...draft, ...lowered };
  }

  async #transform(
    id: string,
    text: string,
    target: string,
    options: TransformOptions,
    mapOfText = "",
  ): Promise<{ source: string; map: string }> {
    const file = id.startsWith("file:") ? fileURLToPath(id) : id;
    // Loaded late: a program whose modules are all JavaScript never needs it.
    const { transform } = loadEsbuild();
    // esbuild starts a process, and crashes the program if that fails.
    if (!hasTransformed) checkDescriptors(ESBUILD_DESCRIPTORS);
    try {
      // esbuild chains the new map to the map at the end of the text.
      const { code, map } = await transform(`${text}\n//# sourceMappingURL=${dataUrl(mapOfText)}`, {
        platform: "node",
        target: `node${esbuildVersion(target)}`,
        charset: "utf8",
        legalComments: "none",
        sourcemap: "external",
        sourcesContent: false,
        sourcefile: file,
        logLevel: "silent",
        tsconfigRaw: { compilerOptions: options.loader === "js" ? {} : compilerOptions(file) },
        // Attributes are removed later if the target does not know them.
        supported: { "import-attributes": true },
        ...options,
      });
      hasTransformed = true;
      return { source: code, map };
    } catch (error) {
      throw compileError(id, target, error as TransformFailure, mapOfText);
    }
  }
}

/** The error of a module that was named by its file: nothing has resolved it, so there may be no such file. */
function missingFile(id: string, cause: NodeJS.ErrnoException): unknown {
  const reason = NO_FILE[cause.code ?? ""];
  return reason === undefined
    ? cause
    : new ModuleError("ERR_MODULE_NOT_FOUND", `Cannot send ${id}: ${reason}`, { cause });
}

/** Loads esbuild, but not by `import()`, which bundlers follow: esbuild cannot be part of a bundle. */
function loadEsbuild(): typeof import("esbuild") {
  try {
    return ownRequire()("esbuild");
  } catch (cause) {
    const message = `Cannot compile modules: the package esbuild is not installed where ${LIBRARY_FILE} finds it; install it there`;
    throw (cause as { code?: unknown }).code === "MODULE_NOT_FOUND" ? new Error(message, { cause }) : cause;
  }
}

function isEither(declared: ModuleFormat | undefined): boolean {
  return declared === undefined && mayCompileToCommonJs();
}

/** Whether an ES module in TypeScript uses a `require` that it does not define. */
function wantsRequire(text: string, declared: ModuleFormat | undefined): boolean {
  if (/^[\t ]*(?:export\s+)?import\s+[\w$]+\s*=\s*require\s*\(/m.test(text)) return true;
  return (
    isEither(declared) &&
    /\brequire\s*[.(]/.test(text) &&
    !/\b(?:createRequire|(?:const|let|var|function)\s+require)\b/.test(text)
  );
}

const REQUIRE =
  'import { createRequire as __createRequire } from "node:module"; const require = __createRequire(import.meta.url);';

function commonJsPaths(id: string): Record<string, string> {
  const file = fileURLToPath(id);
  return { __filename: JSON.stringify(file), __dirname: JSON.stringify(dirname(file)) };
}

/** The `import.meta` that tsx gives to CommonJS. */
function importMeta(id: string): Record<string, string> {
  const { __filename, __dirname } = commonJsPaths(id) as { __filename: string; __dirname: string };
  return {
    "import.meta.url": JSON.stringify(id),
    "import.meta.filename": __filename,
    "import.meta.dirname": __dirname,
  };
}

function plain(id: string, { format, source }: Pick<Draft, "format" | "source">): CompiledModule {
  return { id, format, source, isInterop: false, types: new Map() };
}

function json(source: string): Pick<Draft, "format" | "source"> {
  return { format: "json", source };
}

function dataUrl(map: string): string {
  return map === "" ? NO_MAP : `data:application/json;base64,${Buffer.from(map).toString("base64")}`;
}

/** Comments the hashbang out, because not every evaluator skips it. Lines keep their numbers. */
function withoutHashbang(source: string): string {
  return source.startsWith("#!") ? `//${source.slice(2)}` : source;
}

function compileError(id: string, target: string, failure: TransformFailure, map: string): ModuleError {
  const places = new StackMapper();
  places.add(id, "", map);
  const first = failure.errors?.[0];
  const place = first?.location;
  // At the end of the text esbuild finds the line that was added to it.
  const isEnd = place?.lineText.startsWith("//# sourceMappingURL=") === true;
  const at = isEnd ? `${(place?.line ?? 1) - 1}:1` : `${place?.line}:${(place?.column ?? 0) + 1}`;
  const where = place ? places.originalStack(`${id}:${at}`) : id;
  const text = (first?.text ?? failure.message).replace(/ \+ \d+ overrides?\)/, ")");
  const line = place && !isEnd ? `: ${place.lineText.trim().slice(0, 200)}` : "";
  const cure = /target environment/.test(text)
    ? `; start the context with a newer node (nodePath), or move this code into a module that is not sent there`
    : "";
  const message = `Cannot compile ${where} for Node ${target}: ${text}${line}${cure}`;
  return new ModuleError("ERR_MODULE_COMPILE", message, { cause: failure });
}
