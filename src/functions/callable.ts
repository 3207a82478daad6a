/**
 * A function of another module, named without importing that module here.
 *
 * ```ts
 * await context.call(ref<typeof import("./tasks.ts").backup>(new URL("./tasks.ts", import.meta.url), "backup"), "/srv");
 * ```
 */
export class FunctionRef<A extends readonly unknown[] = readonly unknown[], R = unknown> {
  /** Module id: a `file:` URL, `node:os`, or `global`. */
  readonly module: string;
  /** The names from the module's exports to the function: `["Tasks", "backup"]`. */
  readonly path: readonly string[];
  /** Exists only for the compiler. */
  declare readonly signature: (...args: A) => R;

  /** @internal */
  constructor(module: string, path: readonly string[]) {
    this.module = module;
    this.path = path;
  }
}

/** The functions that `Context.call` takes. */
export type Callable<A extends readonly unknown[], R> = ((...args: [...A]) => R) | FunctionRef<A, R>;
