/** What a module is once the master has resolved and compiled it, and how it crosses a link. */

/** The beginning of ids that mean a package which the target itself has, and which the master was told not to send. */
export const PROVIDED = "provided:";
/** The beginning of values in the maps that mean that there is no such module; code and message of the error follow. */
export const MISSING = "missing:";

/** How a module is evaluated. */
export type ModuleFormat = "module" | "commonjs" | "json";

/** The two resolutions Node has; they differ in export conditions and file guessing. */
export type ImportKind = "import" | "require";

/**
 * One module, ready to be evaluated in a child. Resolution is complete: a child never guesses.
 * Builtins and `mitogen` itself, which every context has, are in the maps only under other specifiers than their names.
 */
export interface ModuleRecord {
  /** Absolute URL on the master: `file:///srv/app/tasks.ts`. */
  readonly id: string;
  readonly format: ModuleFormat;
  /** JavaScript for the target's Node version, or JSON text. */
  readonly source: string;
  /** Specifier → id for `import`, `export from` and literal `import()`. */
  readonly imports: Readonly<Record<string, string>>;
  /** Specifier → id for literal `require()`. */
  readonly requires: Readonly<Record<string, string>>;
  /** Names an ES module can import from it; only for CommonJS. */
  readonly exports: readonly string[];
  /** It imports this library. Does not travel. */
  readonly usesLibrary: boolean;
  /** Only on the master: what Node makes of specifiers in the text that lead nowhere, by `<kind> <specifier>`. */
  readonly broken?: ReadonlyMap<string, Error>;
}

/** Any function at all. */
export type AnyFunction = (...args: never[]) => unknown;
