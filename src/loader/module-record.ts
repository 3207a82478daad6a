/** A module after the master has resolved and compiled it, and how it crosses a link. */

/** The prefix of ids of packages that the target itself has, and that the master was told not to send. */
export const PROVIDED = "provided:";
/** The prefix of a map's value if there is no such module. The code and message of Node's error follow. */
export const MISSING = "missing:";

/** How a module is evaluated. */
export type ModuleFormat = "module" | "commonjs" | "json";

/** The two kinds of resolution in Node. They differ in export conditions and in the file names they try. */
export type ImportKind = "import" | "require";

/**
 * A module, ready to be evaluated in a child. All its specifiers are resolved: a child never guesses. Every
 * context has the builtins and `mitogen` itself, so the maps name them only under other specifiers than their
 * names.
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
  /** The names that an ES module can import from this module. Only for CommonJS. */
  readonly exports: readonly string[];
  /**
   * Whether `import x from` gives the default export of CommonJS that was compiled from an ES module, as it does in
   * modules that the program's loader runs as CommonJS.
   */
  readonly isInterop: boolean;
  /** Whether the module imports this library. Does not travel. */
  readonly usesLibrary: boolean;
  /**
   * Only on the master: Node's errors for specifiers in the text that lead nowhere, by `<kind> <specifier>`.
   */
  readonly broken?: ReadonlyMap<string, Error>;
}
