import { Message } from "../../core/message.ts";
import { hasParentAuthority } from "../../core/policy.ts";
import type { CoreRouter } from "../../core/router.ts";
import type { FunctionName } from "../../functions/function-name.ts";
import { printFunction } from "../../functions/print-function.ts";
import { Handle } from "../../wire/handles.ts";
import { API, builtinExports, EVALUATOR, isBuiltin } from "../builtins.ts";
import type { ImportKind } from "../module-record.ts";
import type { Evaluator, ModuleSource } from "./evaluator.ts";
import type { SyncWaiter } from "./fetch-sync.ts";
import { readAnswer } from "./read-answer.ts";

type AnyFunction = (...args: unknown[]) => unknown;

/** The exports of the part `mitogen:api`: src/remote/api/api.ts. */
export interface Api {
  /** Makes the exports of `import "mitogen"`. Called once. */
  mitogenModule(host: unknown): Record<string, unknown>;
}

/**
 * Gives a child the modules of its program: keeps those that are pushed ahead of calls, asks the master for
 * the others, and finds functions in them. The {@link Evaluator}, which arrives with the first modules,
 * evaluates them.
 */
export class Importer implements ModuleSource {
  /** The argument for {@link Api.mitogenModule}. */
  host: unknown;
  readonly #router: CoreRouter;
  readonly waiter: SyncWaiter;
  readonly #evaluatePart: (packed: Uint8Array) => object;
  readonly #parts: Map<string, unknown> = new Map();
  /** Modules that were pushed and not yet evaluated, still packed: most of a large graph is never run. */
  readonly #packed: Map<string, Uint8Array> = new Map();

  constructor(router: CoreRouter, waiter: SyncWaiter, evaluatePart: (packed: Uint8Array) => object) {
    this.#router = router;
    this.waiter = waiter;
    this.#evaluatePart = evaluatePart;
    router.addHandler((message) => this.storeModules((message.decode() as [number, unknown])[1]), {
      // The body is [target, [[id, hash, packed], …]]. The broker thread has made sure that this context is
      // the target and that no bytes are missing.
      handle: Handle.LOAD_MODULE,
      policy: hasParentAuthority,
      service: true,
    });
  }

  /** Returns the function, with its `this` as `owner`, if its module has been evaluated. */
  lookUp(name: FunctionName): { fn: AnyFunction; owner: unknown } | undefined {
    const { module } = name;
    if (module === "global") return findFunction(globalThis, name);
    if (isBuiltin(module)) return findFunction(builtinExports(module), name);
    if (/^mitogen:/.test(module))
      return this.has(module) ? findFunction(this.library(module), name) : undefined;
    const root = this.has(EVALUATOR) ? this.evaluator().evaluated(module) : undefined;
    return root && findFunction(root.value, name);
  }

  /**
   * Evaluates the module and returns the function. Rejects with the error of the evaluation, and with a
   * TypeError if there is no such function.
   */
  async load(name: FunctionName): Promise<{ fn: AnyFunction; owner: unknown }> {
    const { module } = name;
    // If the module is not here, the caller is not the master, which sends modules ahead of its calls.
    if (!this.has(module)) await this.fetch(module, "", "import");
    return this.lookUp(name) ?? findFunction((await this.evaluate(module)).value, name);
  }

  /** Evaluates a module and returns its exports. Asks for the module if it is not here. */
  async evaluate(id: string): Promise<{ value: unknown }> {
    if (!this.has(id)) await this.fetch(id, "", "import");
    return await this.evaluator().evaluate(id);
  }

  /** Whether the module was sent to this context. */
  has(id: string): boolean {
    return this.#packed.has(id);
  }

  /**
   * The exports of `import "mitogen"`, or those of another main-thread part. The part must have been sent.
   */
  library(id: string = API): Record<string, unknown> {
    return this.makeOnce(id, () => this.evaluatedPart<Api>(id).mitogenModule(this.host));
  }

  /** The evaluator, whose code arrives with the first modules. */
  evaluator(): Evaluator {
    return this.makeOnce(EVALUATOR, () => {
      const part = this.evaluatedPart<{ Evaluator: typeof Evaluator }>(EVALUATOR);
      return new part.Evaluator(this);
    });
  }

  private evaluatedPart<T>(id: string): T {
    return this.#evaluatePart(this.#packed.get(id) as Uint8Array) as T;
  }

  private makeOnce<T>(key: string, make: () => T): T {
    if (!this.#parts.has(key)) this.#parts.set(key, make());
    return this.#parts.get(key) as T;
  }

  /**
   * Stores [[id, hash, packed], …], the modules that were pushed. A module that is already here is not replaced.
   * `null` means that the bytes come later.
   */
  private storeModules(modules: unknown): void {
    for (const [id, , packed] of modules as [string, string, Uint8Array | null][]) {
      if (packed !== null && !this.#packed.has(id)) this.#packed.set(id, packed);
    }
  }

  take(id: string): Uint8Array | undefined {
    const packed = this.#packed.get(id);
    // A module is evaluated once. The empty entry says that it was here.
    if (packed !== undefined) this.#packed.set(id, EMPTY);
    return packed;
  }

  async fetch(...request: [parentId: string, specifier: string, kind: ImportKind]): Promise<string> {
    return readAnswer(await new Promise<Message>((resolve) => this.askMaster(request, resolve)));
  }

  /** Asks for a module. Returns the handle to which the answer will come. */
  askMaster(request: readonly string[], onAnswer: (message: Message) => void): number {
    const router = this.#router;
    // Only the master's answer counts: a sibling must not decide what a module contains.
    const options = { persist: false, respondent: router.contextById(MASTER) };
    const replyTo = router.addHandler(onAnswer, options);
    router.route(
      Message.to(router, { dstId: MASTER, handle: Handle.GET_MODULE, replyTo }, { value: request }),
    );
    return replyTo;
  }
}

/** Only the master resolves specifiers. Hops keep the modules that pass. */
const MASTER = 0;
const EMPTY = new Uint8Array(0);

/**
 * Finds a function by its name in the exports of its module. Throws a TypeError if the name leads to no
 * function.
 */
export function findFunction(root: unknown, name: FunctionName): { fn: AnyFunction; owner: unknown } {
  let owner: unknown;
  let value = root;
  for (const key of name.path) {
    // An export of an ES module has no `this`, as if it were imported by name.
    owner = Object.prototype.toString.call(value) === "[object Module]" ? undefined : value;
    value = (value as Record<string, unknown> | undefined | null)?.[key];
  }
  if (typeof value !== "function") {
    throw new TypeError(
      `Cannot call ${printFunction(name)}: it is ${value === undefined ? "not exported there" : `no function but ${typeof value}`}`,
    );
  }
  return { fn: value as AnyFunction, owner };
}
