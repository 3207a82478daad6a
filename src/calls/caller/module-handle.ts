import { callSite, isOwnError, placedAt } from "../../core/call-site.ts";
import type { Context } from "../../core/context.ts";
import { ProtocolError } from "../../errors.ts";
import { apiRef } from "../../functions/api-ref.ts";
import type { Arrived } from "../../functions/arrived.ts";
import { FunctionRef } from "../../functions/callable.ts";
import { WAIT_OPTIONS } from "../../options/option-types.ts";
import { readOptions } from "../../options/options.ts";
import { awaitWithin, type WaitOptions } from "../../waiting/wait.ts";
import { textOf } from "../../wire/values/thrown.ts";

// biome-ignore lint/suspicious/noExplicitAny: any function at all
type AnyFunction = (...args: any[]) => unknown;
// biome-ignore lint/suspicious/noExplicitAny: any class at all
type AnyClass = abstract new (...args: any[]) => unknown;

/** A module of unknown type. */
export type AnyModule = Readonly<Record<string, AnyFunction>>;

/**
 * The functions of a module, or the static methods of a class, as they are called in a context. Each has the same parameters
 * and returns a promise of the result. Members that are not functions are left out. An overloaded
 * function keeps its last signature; type parameters become `unknown`.
 */
export type RemoteFunctions<M> = {
  readonly [K in keyof M as K extends "then" | "prototype"
    ? never
    : M[K] extends AnyFunction | AnyClass
      ? K
      : never]: RemoteMember<M[K]>;
};

type RemoteMember<F> = F extends (...args: infer A) => infer R
  ? keyof F extends never
    ? (...args: A) => Promise<Arrived<Awaited<R>>>
    : ((...args: A) => Promise<Arrived<Awaited<R>>>) & RemoteFunctions<F>
  : RemoteFunctions<F>;

/** The result of {@link Context.import}: a module that lives in another context. */
export type ModuleHandle<M> = RemoteFunctions<M> & {
  /** The same functions, with a bound on how long the caller waits. */
  with(options: WaitOptions): RemoteFunctions<M>;
};

/**
 * A function in the target that evaluates a module and returns the paths of its functions:
 * src/calls/target/module-functions.ts.
 */
const MODULE_FUNCTIONS = apiRef<[module: string], unknown>("moduleFunctions");
const MAX_NAMES_SHOWN = 20;
const MAX_DEPTH = 8;

/** See `Context.import`. */
export async function importModule(
  context: Context,
  moduleUrl: string | URL,
  options: WaitOptions,
): Promise<ModuleHandle<unknown>> {
  const module = textOf(moduleUrl);
  if (!/^file:\/\/\//.test(module)) {
    throw new TypeError(`Cannot import "${module}" into ${context.name}: ${cureFor(module)}`);
  }
  const site = callSite(context.import);
  const bounds = readOptions(`import ${module} into ${context.name}`, options, WAIT_OPTIONS);
  const paths = await awaitWithin<unknown>(
    context.router.broker,
    bounds,
    () => `import ${module} into ${context.name}`,
    (resolve, reject) => void evaluate(context, module, bounds).then(resolve, reject),
    () => undefined,
  ).catch((error) => {
    throw isOwnError(error) ? placedAt(error, site(), true) : error;
  });
  const functions = treeOf(checkPaths(paths, context, module));
  return handleOf(functions, context, module);
}

function cureFor(module: string): string {
  if (/^node:/.test(module)) return "pass functions of node: modules to context.call() as they are";
  const cure = /^[./]|:/.test(module)
    ? 'new URL("./tasks.ts", import.meta.url)'
    : `import.meta.resolve("${module}")`;
  return `it must be an absolute file: URL; use ${cure}`;
}

/** The module is sent before the call that evaluates it, on the same link. */
async function evaluate(context: Context, module: string, options: WaitOptions): Promise<unknown> {
  await context.router.functions.prepare(context, { module, path: [] });
  return await context.with(options).call(MODULE_FUNCTIONS, module);
}

/** Checks the answer of the target: anything but lists of names would turn into calls of something else. */
function checkPaths(paths: unknown, { name }: Context, module: string): string[][] {
  const isPath = (path: unknown): boolean =>
    Array.isArray(path) && path.length <= MAX_DEPTH && path.every((each) => typeof each === "string");
  if (Array.isArray(paths) && paths.every(isPath)) return paths as string[][];
  throw new ProtocolError(`Cannot import ${module} into ${name}: its answer is not a list of functions`);
}

/** One place in a module's exports. */
interface Node {
  /** The path by which it is called, if it is a function. */
  call?: readonly string[];
  readonly members: Map<string, Node>;
}

function treeOf(paths: readonly (readonly string[])[]): Node {
  const root: Node = { members: new Map() };
  for (const path of paths) {
    let node = root;
    // ES importers of a CommonJS module know `module.exports` itself as the default export.
    for (const name of path.length === 0 ? ["default"] : path) {
      let member = node.members.get(name);
      if (member === undefined) {
        member = { members: new Map() };
        node.members.set(name, member);
      }
      node = member;
    }
    node.call ??= path;
  }
  return root;
}

function handleOf(functions: Node, context: Context, module: string): ModuleHandle<unknown> {
  const bind = (options: WaitOptions): object => {
    const { call } = context.with(options);
    // Bound, not wrapped, because a bound function adds no line of this library to the stacks of its
    // failures.
    return membersOf(functions, module, "", (path) =>
      call.bind(undefined, new FunctionRef(module, path) as never),
    );
  };
  // No module can export a function under this name.
  return Object.defineProperty(bind({}), "with", { value: bind }) as ModuleHandle<unknown>;
}

/**
 * Makes an object with the members of a node. Any other name gives a function that rejects, so that the call
 * reports a typo. The object is never a thenable, whatever the module exports: awaiting it returns the object
 * itself.
 */
function membersOf(
  { members }: Node,
  module: string,
  owner: string,
  callableOf: (path: readonly string[]) => object,
): object {
  const object = {};
  for (const [name, node] of members) {
    const path = owner + name;
    let value = membersOf(node, module, `${path}.`, callableOf);
    if (node.call !== undefined) {
      const descriptors = { ...Object.getOwnPropertyDescriptors(value), name: { value: path } };
      value = Object.defineProperties(callableOf(node.call), descriptors);
    }
    // The name comes from the target, and may be `__proto__`.
    Object.defineProperty(object, name, { value, enumerable: true, configurable: true });
  }
  return new Proxy(object, {
    get(target, key) {
      if (key === "then") return undefined;
      if (typeof key === "symbol" || key === "toJSON" || key in target) return Reflect.get(target, key);
      return () => Promise.reject(unknownFunction(owner, key, members, module));
    },
  });
}

function unknownFunction(
  owner: string,
  name: string,
  members: ReadonlyMap<string, unknown>,
  module: string,
): TypeError {
  const names = [...members.keys()];
  const shown = names.slice(0, MAX_NAMES_SHOWN).join(", ") || "no functions";
  const more = names.length > MAX_NAMES_SHOWN ? ` and ${names.length - MAX_NAMES_SHOWN} more` : "";
  const subject = owner === "" ? "it exports" : `${owner.slice(0, -1)} has`;
  return new TypeError(`${owner}${name} is not a function exported by ${module}; ${subject} ${shown}${more}`);
}
