import { anyText, callback, oneOf, required } from "../../options/option-types.ts";
import { type OptionType, readOptions, takeOption } from "../../options/options.ts";
import type { ModuleFormat } from "../module-record.ts";
import { ModuleMatcher, type ModulePattern, packageOfSpecifier } from "../resolve/module-pattern.ts";

/** The program's rules, as far as requests are concerned. */
export interface ServeRules {
  /** The rule that keeps a module from travelling, or undefined: `deny("lodash")`. */
  denial(id: string): string | undefined;
  readonly allowed: readonly ModuleMatcher[];
  /** Whether the program has named this very module, to override its text or to allow it. */
  isNamed(id: string): boolean;
}

/** A text that replaces a file: in the language of the file, or as JavaScript or JSON of a given format. */
export type ModuleOverride = string | { readonly source: string; readonly format: ModuleFormat };

/** Changes the text of a file before it is compiled. */
export type SourceModifier = (source: string, id: string) => string | Promise<string>;

/** A {@link SourceModifier}, and the ids it is for. */
export interface ModifierRule {
  readonly matcher: ModuleMatcher;
  readonly modify: SourceModifier;
}

const OVERRIDE: OptionType<ModuleOverride> = {
  wanted: "a string, or { source, format }",
  take(value, refuse) {
    if (typeof value === "string") return value;
    if (typeof value !== "object" || value === null) throw refuse("ERR_INVALID_ARG_TYPE");
    const format = oneOf("module", "commonjs", "json");
    return readOptions("override a module", value, { source: required(anyText), format: required(format) });
  },
};

/**
 * The rules of the program for its modules, for one router. A rule applies to everything that is sent later,
 * not to modules that were sent before.
 */
export class ModuleRules implements ServeRules {
  readonly #allowed: ModuleMatcher[] = [];
  readonly #denied: ModuleMatcher[] = [];
  readonly #provided: ModuleMatcher[] = [];
  readonly #overrides = new Map<string, ModuleOverride>();
  readonly #modifiers: ModifierRule[] = [];

  /** Whether no rule changes the graph. */
  get isPlain(): boolean {
    return (
      [this.#denied, this.#provided, this.#modifiers].every((rules) => rules.length === 0) &&
      this.#overrides.size === 0
    );
  }

  get allowed(): readonly ModuleMatcher[] {
    return this.#allowed;
  }

  /** The texts that replace files, by id. */
  get overrides(): ReadonlyMap<string, ModuleOverride> {
    return this.#overrides;
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
        `Cannot mark as provided by the target ${wrong.text}: a target finds packages by their names; pass the package's name`,
      );
    }
    this.#provided.push(...matchers);
  }

  override(id: string, override: ModuleOverride): void {
    this.#overrides.set(id, takeOption("override a module", "its source", override, OVERRIDE));
  }

  modify(pattern: ModulePattern, modify: SourceModifier): void {
    const matcher = new ModuleMatcher(pattern, "modify");
    this.#modifiers.push({ matcher, modify: takeOption("modify modules", "the modifier", modify, callback) });
  }

  denial(id: string): string | undefined {
    const rule = this.#denied.find((each) => each.matches(id));
    return rule && `deny(${rule.text})`;
  }

  /** The rule that leaves a specifier to the target, or undefined. */
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

  /** The modifiers for a module's text, in the order in which they run. */
  modifiersOf(id: string): ModifierRule[] {
    return this.#modifiers.filter(({ matcher }) => matcher.matches(id));
  }

  /** The changes to a module's text: `override()`, `modify("lodash")`. */
  changes(id: string): string[] {
    const modified = this.modifiersOf(id).map(({ matcher }) => `modify(${matcher.text})`);
    return this.hasOverride(id) ? ["override()", ...modified] : modified;
  }
}
