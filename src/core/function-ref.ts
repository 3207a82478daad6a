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
  readonly path: readonly string[];
  /** Only for the compiler. */
  declare readonly signature: (...args: A) => R;

  constructor(module: string, path: readonly string[]) {
    this.module = module;
    this.path = path;
  }
}

/** What `Context.call` takes. */
export type Callable<A extends readonly unknown[], R> = ((...args: [...A]) => R) | FunctionRef<A, R>;

// biome-ignore lint/suspicious/noExplicitAny: any function at all
type AnyFunction = (...args: any[]) => unknown;

/**
 * Names a function by its module (an absolute URL, `file:///srv/app/tasks.ts`, or `node:os`) and its path in the module's
 * exports (`"backup"`, `"default"`, `"Tasks.backup"`). Nothing is imported or checked here; the call rejects if there is no such function.
 * Throws a TypeError for a module that is no absolute URL.
 */
export function ref<F extends AnyFunction = AnyFunction>(
  moduleUrl: string | URL,
  exportPath: string,
): FunctionRef<Parameters<F>, ReturnType<F>> {
  const module = String(moduleUrl);
  if (module !== "global" && !/^(file:\/\/\/|node:)/.test(module)) {
    throw new TypeError(
      `Cannot refer to module "${module}": it must be an absolute file: URL or a node: module; use new URL("./x.ts", import.meta.url)`,
    );
  }
  const path = exportPath.split(".");
  if (path.some((name) => name === "")) {
    throw new TypeError(`Cannot refer to export "${exportPath}" of ${module}: an empty name in the path`);
  }
  return new FunctionRef(module, path);
}
