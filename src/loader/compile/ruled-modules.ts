import { messageOf } from "../../wire/values/thrown.ts";
import { ModuleError } from "../module-error.ts";
import type { ImportKind, ModuleFormat } from "../module-record.ts";
import { isPath } from "../resolve/module-pattern.ts";
import { type Destination, resolveModule } from "../resolve/resolve.ts";
import type { CompiledModule, Compiler } from "./compile.ts";
import type { GraphRules } from "./graph.ts";
import type { ModifierRule, ModuleRules } from "./module-rules.ts";

/** Extensions that determine a format, whatever the id's own extension is. */
const EXTENSIONS: Readonly<Record<ModuleFormat, string>> = {
  module: ".mjs",
  commonjs: ".cjs",
  json: ".json",
};

/**
 * Resolves and compiles modules by a program's rules. Keeps what it has read for a rule, so a change of the
 * rules needs a new instance.
 */
export class RuledModules implements GraphRules {
  readonly #rules: ModuleRules;
  readonly #compiler: Compiler;
  /** Compiles modules with a rule. */
  readonly #own: Compiler;

  /** `compiler`, which is shared, compiles files without a rule. */
  constructor(rules: ModuleRules, compiler: Compiler) {
    this.#rules = rules;
    this.#compiler = compiler;
    this.#own = compiler.reading((id) => this.#read(id));
  }

  denial(id: string): string | undefined {
    return this.#rules.denial(id);
  }

  hasOverride(id: string): boolean {
    return this.#rules.hasOverride(id);
  }

  resolve(specifier: string, parentId: string, kind: ImportKind): Destination {
    return resolveByRules(this.#rules, specifier, parentId, kind);
  }

  async compile(id: string, target: string): Promise<CompiledModule> {
    if (this.#rules.changes(id).length === 0) return this.#compiler.compile(id, target);
    const override = this.#rules.overrides.get(id);
    const idToRead = typeof override === "object" ? id + EXTENSIONS[override.format] : id;
    try {
      return { ...(await this.#own.compile(idToRead, target)), id };
    } catch (error) {
      // The file may be fixed while the program runs.
      this.#compiler.forget(id);
      throw error;
    }
  }

  /**
   * Reads the text of a module with a rule. `idToRead` may have an additional extension: see {@link compile}.
   */
  async #read(idToRead: string): Promise<string> {
    const { overrides } = this.#rules;
    const id = overrides.has(idToRead) ? idToRead : this.#withoutExtension(idToRead);
    const override = overrides.get(id);
    let source =
      override === undefined
        ? await this.#compiler.read(id)
        : typeof override === "string"
          ? override
          : override.source;
    for (const rule of this.#rules.modifiersOf(id)) source = await modified(source, id, rule);
    return source;
  }

  #withoutExtension(id: string): string {
    const shorter = id.replace(/\.[^.]*$/, "");
    return typeof this.#rules.overrides.get(shorter) === "object" ? shorter : id;
  }
}

/**
 * Resolves a specifier by the program's rules and then by Node's. Throws Node's error if there is no such
 * module.
 */
export function resolveByRules(
  rules: ModuleRules,
  specifier: string,
  parentId: string,
  kind: ImportKind,
): Destination {
  if (rules.provision(specifier) !== undefined) return { provided: specifier };
  if (rules.overrides.size > 0 && (isPath(specifier) || specifier.startsWith("file:"))) {
    const id = URL.canParse(specifier, parentId) ? new URL(specifier, parentId).href : "";
    if (rules.hasOverride(id)) return { id };
  }
  return resolveModule(specifier, parentId, kind);
}

async function modified(source: string, id: string, { matcher, modify }: ModifierRule): Promise<string> {
  let reason: unknown;
  try {
    const result: unknown = await modify(source, id);
    if (typeof result === "string") return result;
    reason = `it returned ${typeof result}, not a string`;
  } catch (error) {
    reason = error;
  }
  const message = `Cannot compile ${id}: its modifier, modify(${matcher.text}), failed: ${messageOf(reason)}`;
  throw new ModuleError("ERR_MODULE_COMPILE", message, { cause: reason });
}
