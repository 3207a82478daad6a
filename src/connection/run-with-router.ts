import { realpathSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { callback } from "../options/option-types.ts";
import { misuse, show, takeOption } from "../options/options.ts";
import { read, textOf } from "../wire/values/thrown.ts";
import { Router } from "./router.ts";

/**
 * Runs `main` with a new router, shuts the router down in any case, and returns the value of `main`, or rejects with
 * its error. In a context it does nothing, so a program whose functions are called there may use it at its top level.
 */
export async function runWithRouter<A extends readonly unknown[], R>(
  main: (router: Router, ...args: A) => R,
  ...args: A
): Promise<Awaited<R>> {
  takeOption("run with a router", "the first argument", main, callback);
  const router = new Router();
  try {
    return await main(router, ...args);
  } finally {
    await router.shutdown();
  }
}

/** Wraps a function with {@link runWithRouter}: returns a function without the first parameter. */
export function withRouter<A extends readonly unknown[], R>(
  fn: (router: Router, ...args: A) => R,
): (...args: A) => Promise<Awaited<R>> {
  takeOption("run with a router", "the first argument", fn, callback);
  const wrapped = (...args: A): Promise<Awaited<R>> => runWithRouter(fn, ...args);
  Object.defineProperty(wrapped, "name", { value: textOf(read(fn, "name")), configurable: true });
  return wrapped;
}

/**
 * Whether the calling module is the program's entry script. Always false in a child. Takes `import.meta`, or
 * `module` in CommonJS.
 */
export function isMain(module: ImportMeta | { readonly filename: string }): boolean {
  const entry = process.argv[1];
  if (entry === undefined) return false;
  if (typeof module !== "object" || module === null) {
    const message = `Cannot tell whether this is the program's entry script: isMain() takes import.meta, or module, got ${show(module)}`;
    throw misuse("ERR_INVALID_ARG_TYPE", message);
  }
  const url = read(module, "url");
  const own = typeof url === "string" ? fromUrl(url) : read(module, "filename");
  try {
    return typeof own === "string" && realpathSync(own) === realpathSync(entry);
  } catch {
    return false;
  }
}

function fromUrl(url: string): string | undefined {
  return url.startsWith("file:") ? fileURLToPath(url) : undefined;
}
