import { readFile } from "node:fs/promises";
import { extname } from "node:path";
import { fileURLToPath } from "node:url";
import { parse as parseProgram } from "acorn";
import { parse as lex } from "es-module-lexer";
import type { Loader, TransformFailure, TransformOptions } from "esbuild";
import { isEntryModule, neutralizeEntryModule } from "./entry-guard.ts";
import { ModuleError } from "./module-error.ts";
import type { ModuleFormat } from "./module-record.ts";
import { packageScope } from "./package-scope.ts";
import { StackMapper } from "./stack-mapper.ts";
import { compilerOptions } from "./tsconfig.ts";

/** A module as a child of one Node version can evaluate it; specifiers are still as written. */
export interface CompiledModule {
  readonly id: string;
  readonly format: ModuleFormat;
  readonly source: string;
}

/** Text on its way to a target. */
interface Draft {
  readonly format: ModuleFormat;
  readonly source: string;
  /** Leads from `source` to the file; empty while they are the same. */
  readonly map: string;
}

/** esbuild's loader by extension; a file whose extension is not here is CommonJS to `require` and an error to `import`. */
const LOADERS: Readonly<Record<string, Loader>> = {
  ...{ ".js": "js", ".mjs": "js", ".cjs": "js", ".jsx": "jsx", ".json": "json" },
  ...{ ".ts": "ts", ".mts": "ts", ".cts": "ts", ".tsx": "tsx" },
};

/** JavaScript is sent as it is to every Node that is not older than this. */
const VERBATIM_SINCE = 20;
const NEWEST = `${VERBATIM_SINCE}.0.0`;

/**
 * Turns files into JavaScript for one Node version. A file is read and compiled once for each class of versions
 * that need the same text, however many contexts ask for it, and not read again: like Node's own module cache
 * it stays what the program started with, until {@link invalidate}.
 */
export class Compiler {
  readonly #compiled = new Map<string, Promise<CompiledModule>>();
  readonly #texts = new Map<string, Promise<string>>();
  readonly #stacks: StackMapper;
  readonly #isEntry: (id: string) => boolean;
  readonly #readText: (id: string) => Promise<string>;

  constructor(
    isEntry: (id: string) => boolean = isEntryModule,
    readText: (id: string) => Promise<string> = (id) => readFile(fileURLToPath(id), "utf8"),
    stacks: StackMapper = new StackMapper(),
  ) {
    this.#isEntry = isEntry;
    this.#readText = readText;
    this.#stacks = stacks;
  }

  /** One whose sources come from elsewhere; stacks of what it compiles are mapped here too. */
  reading(readText: (id: string) => Promise<string>): Compiler {
    return new Compiler(this.#isEntry, readText, this.#stacks);
  }

  /** Forgets a file, or all of them: the next `compile` reads it anew. */
  invalidate(id?: string): void {
    for (const key of this.#compiled.keys()) {
      if (id === undefined || key.endsWith(` ${id}`)) this.#compiled.delete(key);
    }
    if (id === undefined) this.#texts.clear();
    else this.#texts.delete(id);
  }

  /** `target` is the Node version of the context that will evaluate it, `"20.11.1"`. */
  compile(id: string, target: string): Promise<CompiledModule> {
    const key = `${versionClass(target)} ${id}`;
    let compiled = this.#compiled.get(key);
    if (compiled === undefined) {
      compiled = this.#compile(id, target);
      this.#compiled.set(key, compiled);
      // A failure is not kept: the file may be mended while the program runs.
      const failed = compiled;
      failed.catch(() => {
        if (this.#compiled.get(key) !== failed) return;
        this.#compiled.delete(key);
        this.#texts.delete(id);
      });
    }
    return compiled;
  }

  /** Rewrites the frames of modules compiled here to lines of their sources. `stack` may be any text, from anyone. */
  originalStack(stack: string): string {
    return this.#stacks.originalStack(stack);
  }

  async #compile(id: string, target: string): Promise<CompiledModule> {
    if (id.startsWith("data:")) return fromDataUrl(id);
    const extension = extname(fileURLToPath(id));
    const text = await this.read(id);
    if (extension === ".json") return { id, format: "json", source: text };
    const draft = await this.#draft(id, text, LOADERS[extension] ?? "js", target);
    this.#stacks.add(id, draft.map);
    const { format } = draft;
    return { id, format, source: withoutHashbang(withoutAttributes(draft, target)) };
  }

  async #draft(id: string, text: string, loader: Loader, target: string): Promise<Draft> {
    if (!this.#isEntry(id)) return this.#compileFor(target, id, text, loader);
    // Its work is taken out before anything is lowered: that may need syntax which the target does not know.
    const newest = await this.#compileFor(NEWEST, id, text, loader);
    const source = neutralizeEntryModule(id, newest.source, newest.format);
    return this.#lower(id, { ...newest, source }, target);
  }

  #compileFor(target: string, id: string, text: string, loader: Loader): Promise<Draft> {
    if (loader !== "js") return this.#typeScript(id, text, loader, target);
    const format = declaredFormat(id) ?? detectedFormat(text);
    return this.#lower(id, { format, source: text, map: "" }, target);
  }

  /** The text of a file, as it was when it was first asked for. */
  read(id: string): Promise<string> {
    let text = this.#texts.get(id);
    if (text === undefined) {
      text = this.#readText(id).then((content) => content.replace(/^\uFEFF/, ""));
      this.#texts.set(id, text);
    }
    return text;
  }

  async #typeScript(id: string, text: string, loader: Loader, target: string): Promise<Draft> {
    const declared = declaredFormat(id);
    const format: TransformOptions = declared === "commonjs" ? { format: "cjs" } : {};
    const output = await this.#transform(id, text, target, { loader, ...format });
    return { ...output, format: declared ?? detectedFormat(output.source) };
  }

  /** JavaScript for an older Node; where that changes nothing, the very text. */
  async #lower(id: string, draft: Draft, target: string): Promise<Draft> {
    const { source, map } = draft;
    if (majorOf(target) >= VERBATIM_SINCE) return draft;
    // esbuild leads the new map through the one it finds in the text.
    const chained = map === "" ? source : `${source}\n//# sourceMappingURL=${dataUrl(map)}`;
    const lowered = await this.#transform(id, chained, target, { loader: "js" }, map);
    // Printing alone changes the text: only what differs between two printed forms was lowered.
    const { transform } = await import("esbuild");
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
    const file = fileURLToPath(id);
    // Loaded late: a program whose modules are all JavaScript never starts it.
    const { transform } = await import("esbuild");
    try {
      const { code, map } = await transform(text, {
        platform: "node",
        target: `node${esbuildVersion(target)}`,
        charset: "utf8",
        legalComments: "none",
        sourcemap: "external",
        sourcesContent: false,
        sourcefile: file,
        logLevel: "silent",
        tsconfigRaw: { compilerOptions: options.loader === "js" ? {} : compilerOptions(file) },
        // They are taken out afterwards where the target does not know them.
        supported: { "import-attributes": true },
        ...options,
      });
      return { source: code, map };
    } catch (error) {
      throw compileError(id, target, error as TransformFailure, mapOfText);
    }
  }
}

/** Versions with the same class get the same text. */
export function versionClass(target: string): string {
  return `${esbuildVersion(target)}${knowsAttributes(target) ? "+attributes" : ""}`;
}

/** The format that extension and package.json fix; undefined leaves it to the syntax, as Node does. */
function declaredFormat(id: string): "module" | "commonjs" | undefined {
  const file = fileURLToPath(id);
  const extension = extname(file);
  if (extension === ".mjs" || extension === ".mts") return "module";
  if (extension === ".cjs" || extension === ".cts") return "commonjs";
  return packageScope(file)?.type;
}

function detectedFormat(source: string): "module" | "commonjs" {
  try {
    if (lex(source)[3]) return "module";
  } catch {
    return "commonjs";
  }
  return source.includes("await") && parses(source, "module") && !parses(source, "script")
    ? "module"
    : "commonjs";
}

function parses(source: string, sourceType: "script" | "module"): boolean {
  try {
    parseProgram(source, {
      ecmaVersion: "latest",
      sourceType,
      allowHashBang: true,
      allowReturnOutsideFunction: sourceType === "script",
      allowAwaitOutsideFunction: sourceType === "module",
    });
    return true;
  } catch {
    return false;
  }
}

function fromDataUrl(id: string): CompiledModule {
  const comma = id.indexOf(",");
  const head = id.slice("data:".length, comma);
  const data = decodeURIComponent(id.slice(comma + 1));
  const source = head.endsWith(";base64") ? Buffer.from(data, "base64").toString() : data;
  return { id, format: head.startsWith("application/json") ? "json" : "module", source };
}

/** The child knows the format of every module; old versions of Node do not know the syntax. */
function withoutAttributes({ source, format }: Draft, target: string): string {
  if (format !== "module" || knowsAttributes(target) || !/\b(?:with|assert)\b/.test(source)) return source;
  let result = "";
  let from = 0;
  for (const entry of lex(source)[0]) {
    if (entry.type === "dynamic" || entry.type === "import-meta" || entry.attributesStart < 0) continue;
    result += source.slice(from, entry.end + 1);
    from = entry.importEnd;
  }
  return result + source.slice(from);
}

function dataUrl(map: string): string {
  return `data:application/json;base64,${Buffer.from(map).toString("base64")}`;
}

/** Not every evaluator of a function body or module text skips it. Lines keep their numbers. */
function withoutHashbang(source: string): string {
  return source.startsWith("#!") ? `//${source.slice(2)}` : source;
}

function knowsAttributes(target: string): boolean {
  const [major, minor] = versionOf(target);
  return major > 20 || (major === 20 && minor >= 10) || (major === 18 && minor >= 20);
}

function esbuildVersion(target: string): string {
  const [major, minor] = versionOf(target);
  return major >= VERBATIM_SINCE ? `${VERBATIM_SINCE}` : `${major}.${minor}`;
}

function majorOf(target: string): number {
  return versionOf(target)[0];
}

function versionOf(target: string): [number, number] {
  const [major = 0, minor = 0] = target.replace(/^v/, "").split(".").map(Number);
  return [major, minor];
}

function compileError(id: string, target: string, failure: TransformFailure, map: string): ModuleError {
  const places = new StackMapper();
  places.add(id, map);
  const first = failure.errors?.[0];
  const place = first?.location;
  const where = place ? places.originalStack(`${id}:${place.line}:${place.column + 1}`) : id;
  const text = (first?.text ?? failure.message).replace(/ \+ \d+ overrides?\)/, ")");
  const line = place ? `: ${place.lineText.trim().slice(0, 200)}` : "";
  const cure = /target environment/.test(text)
    ? `; start the context with a newer node (nodePath), or move this code into a module that is not sent there`
    : "";
  const message = `Cannot compile ${where} for Node ${target}: ${text}${line}${cure}`;
  return new ModuleError("ERR_MODULE_COMPILE", message, { cause: failure });
}
