import { anyText, callback, oneOf, required } from "../core/option-types.ts";
import { type OptionType, readOptions, takeOption } from "../core/options.ts";
import { messageOf } from "../wire/thrown.ts";
import { type CompiledModule, Compiler } from "./compile.ts";
import type { GraphRules } from "./graph.ts";
import { ModuleError } from "./module-error.ts";
import { isPath, ModuleMatcher, type ModulePattern, packageOfSpecifier } from "./module-pattern.ts";
import type { ImportKind, ModuleFormat } from "./module-record.ts";
import { type Resolution, resolveModule } from "./resolve.ts";
import type { ServeRules } from "./serve-policy.ts";

/** What a specifier stands for once the program's own rules have been looked at. */
export type Destination = Resolution | { readonly provided: string };

/** Text in place of a file: as the file would have it, or JavaScript or JSON of a given format. */
export type ModuleOverride = string | { readonly source: string; readonly format: ModuleFormat };

/** Changes the text of a file before it is compiled. */
export type SourceModifier = (source: string, id: string) => string | Promise<string>;

/** Extensions that fix a format, whatever the id's own. */
const EXTENSIONS: Readonly<Record<ModuleFormat, string>> = {
  module: ".mjs",
  commonjs: ".cjs",
  json: ".json",
};

const OVERRIDE: OptionType<ModuleOverride> = {
  wanted: "a string, or { source, format }",
  take(value, refuse) {
    if (typeof value === "string") return value;
    if (typeof value !== "object" || value === null) throw refuse("ERR_INVALID_ARG_TYPE");
    const format = oneOf("module", "commonjs", "json");
    return readOptions("override a module", value, { source: required(anyText), format: required(format) });
  },
};

/** What the program has said about its modules, by one router. A rule counts from now on; what was sent stays. */
export class ModuleRules implements GraphRules, ServeRules {
  readonly #compiler: Compiler;
  readonly #allowed: ModuleMatcher[] = [];
  readonly #denied: ModuleMatcher[] = [];
  readonly #provided: ModuleMatcher[] = [];
  readonly #overrides = new Map<string, ModuleOverride>();
  readonly #modifiers: { readonly matcher: ModuleMatcher; readonly modify: SourceModifier }[] = [];
  #own: Compiler | undefined;

  /** Files without a rule are compiled by `compiler`, which others use too. */
  constructor(compiler: Compiler) {
    this.#compiler = compiler;
  }

  /** Whether the graph is what it would be without any rule. */
  get isPlain(): boolean {
    return (
      [this.#denied, this.#provided, this.#modifiers].every((rules) => rules.length === 0) &&
      this.#overrides.size === 0
    );
  }

  get allowed(): readonly ModuleMatcher[] {
    return this.#allowed;
  }

  allow(patterns: readonly ModulePattern[]): void {
    this.#allowed.push(...patterns.map((pattern) => new ModuleMatcher(pattern, "allow")));
  }

  deny(patterns: readonly ModulePattern[]): void {
    this.#denied.push(...patterns.map((pattern) => new ModuleMatcher(pattern, "deny")));
  }

  provide(names: readonly (string | RegExp)[]): void {
    const matchers = names.map((name) => new ModuleMatcher(name, "mark as provided by the target"));
    const wrong = matchers.find(({ kind }) => kind === "id" || kind === "prefix");
    if (wrong !== undefined) {
      throw new TypeError(
        `Cannot mark as provided by the target ${wrong.text}: the target looks for a package by its name; pass that`,
      );
    }
    this.#provided.push(...matchers);
  }

  override(id: string, override: ModuleOverride): void {
    this.#overrides.set(id, takeOption("override a module", "its source", override, OVERRIDE));
    this.forgetSources();
  }

  modify(pattern: ModulePattern, modify: SourceModifier): void {
    const matcher = new ModuleMatcher(pattern, "modify");
    this.#modifiers.push({ matcher, modify: takeOption("modify modules", "the modifier", modify, callback) });
    this.forgetSources();
  }

  /** Reads what it has read for modifiers anew, the next time. */
  forgetSources(): void {
    this.#own = undefined;
  }

  denial(id: string): string | undefined {
    const rule = this.#denied.find((each) => each.matches(id));
    return rule && `deny(${rule.text})`;
  }

  /** The rule by which a specifier is the target's own affair, or undefined. */
  provision(specifier: string): string | undefined {
    const name = packageOfSpecifier(specifier);
    const rule = name === undefined ? undefined : this.#provided.find((each) => each.matchesPackage(name));
    return rule && `provided(${rule.text})`;
  }

  hasOverride(id: string): boolean {
    return this.#overrides.has(id);
  }

  isNamed(id: string): boolean {
    return this.hasOverride(id) || this.#allowed.some((rule) => rule.kind === "id" && rule.matches(id));
  }

  /** What has been done to a module's text: `override()`, `modify("lodash")`. */
  changes(id: string): string[] {
    const modified = this.#modifiers
      .filter(({ matcher }) => matcher.matches(id))
      .map(({ matcher }) => `modify(${matcher.text})`);
    return this.hasOverride(id) ? ["override()", ...modified] : modified;
  }

  resolve(specifier: string, parentId: string, kind: ImportKind): Destination {
    if (this.provision(specifier) !== undefined) return { provided: specifier };
    if (this.#overrides.size > 0 && (isPath(specifier) || specifier.startsWith("file:"))) {
      const id = URL.canParse(specifier, parentId) ? new URL(specifier, parentId).href : "";
      if (this.#overrides.has(id)) return { id };
    }
    return resolveModule(specifier, parentId, kind);
  }

  async compile(id: string, target: string): Promise<CompiledModule> {
    if (this.changes(id).length === 0) return this.#compiler.compile(id, target);
    this.#own ??= this.#compiler.reading((each) => this.read(each));
    const override = this.#overrides.get(id);
    if (typeof override !== "object") return this.#own.compile(id, target);
    const compiled = await this.#own.compile(id + EXTENSIONS[override.format], target);
    return { ...compiled, id };
  }

  /** The text of a module with a rule; `id` may have an extension more, see {@link compile}. */
  private async read(idToRead: string): Promise<string> {
    const id = this.#overrides.has(idToRead) ? idToRead : this.withoutExtension(idToRead);
    const override = this.#overrides.get(id);
    let source =
      override === undefined
        ? await this.#compiler.read(id)
        : typeof override === "string"
          ? override
          : override.source;
    for (const { matcher, modify } of this.#modifiers) {
      if (!matcher.matches(id)) continue;
      source = await modified(source, id, modify, matcher);
    }
    return source;
  }

  private withoutExtension(id: string): string {
    const shorter = id.replace(/\.[^.]*$/, "");
    return typeof this.#overrides.get(shorter) === "object" ? shorter : id;
  }
}

async function modified(
  source: string,
  id: string,
  modify: SourceModifier,
  { text }: ModuleMatcher,
): Promise<string> {
  let reason: unknown;
  try {
    const result: unknown = await modify(source, id);
    if (typeof result === "string") return result;
    reason = `it returned ${typeof result}, no string`;
  } catch (error) {
    reason = error;
  }
  const message = `Cannot compile ${id}: its modifier, modify(${text}), failed: ${messageOf(reason)}`;
  throw new ModuleError("ERR_MODULE_COMPILE", message, { cause: reason });
}
