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
  /** Called once: what `import "mitogen"` gives. */
  mitogenModule(host: unknown): Record<string, unknown>;
}

/**
 * Gives a child the modules of the program it belongs to: keeps what is pushed ahead of calls, asks the parent for the rest, and
 * finds functions in them. Evaluation itself is the {@link Evaluator}'s, which comes with the first modules.
 */
export class Importer implements ModuleSource {
  /** What the part `mitogen:api` is built on. */
  host: unknown;
  readonly #router: CoreRouter;
  readonly waiter: SyncWaiter;
  readonly #evaluatePart: (packed: Uint8Array) => object;
  readonly #parts: Map<string, unknown> = new Map();
  /** Pushed and not yet evaluated, as they came: most of a large graph is never run. */
  readonly #packed: Map<string, Uint8Array> = new Map();

  constructor(router: CoreRouter, waiter: SyncWaiter, evaluatePart: (packed: Uint8Array) => object) {
    this.#router = router;
    this.waiter = waiter;
    this.#evaluatePart = evaluatePart;
    router.addHandler((message) => this.storeModules((message.decode() as [number, unknown])[1]), {
      // [target, [[id, hash, packed], …]]: the broker thread has seen to it that this is the target and nothing is left out.
      handle: Handle.LOAD_MODULE,
      policy: hasParentAuthority,
      service: true,
    });
  }

  /** The function, if its module has been evaluated; `owner` is what `this` is inside. */
  lookUp(name: FunctionName): { fn: AnyFunction; owner: unknown } | undefined {
    const { module } = name;
    if (module === "global") return findFunction(globalThis, name);
    if (isBuiltin(module)) return findFunction(builtinExports(module), name);
    if (/^mitogen:/.test(module))
      return this.has(module) ? findFunction(this.library(module), name) : undefined;
    const root = this.has(EVALUATOR) ? this.evaluator().evaluated(module) : undefined;
    return root && findFunction(root.value, name);
  }

  /** The function, after evaluating its module. Rejects with what the evaluation throws, and a TypeError when there is no such function. */
  async load(name: FunctionName): Promise<{ fn: AnyFunction; owner: unknown }> {
    const { module } = name;
    // Called by a context that is not the master, which would have sent it ahead.
    if (!this.has(module)) await this.fetch(module, "", "import");
    return this.lookUp(name) ?? findFunction((await this.evaluate(module)).value, name);
  }

  /** The exports of a module, asked for if it is not here. */
  async evaluate(id: string): Promise<{ value: unknown }> {
    if (!this.has(id)) await this.fetch(id, "", "import");
    return await this.evaluator().evaluate(id);
  }

  /** Whether it was sent to this context. */
  has(id: string): boolean {
    return this.#packed.has(id);
  }

  /** What `import "mitogen"` gives, or what another part does on the main thread; it must have been sent. */
  library(id: string = API): Record<string, unknown> {
    return this.makeOnce(id, () => this.evaluatedPart<Api>(id).mitogenModule(this.host));
  }

  /** How modules are evaluated; it comes with the first of them. */
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

  /** [[id, hash, packed], …]: modules pushed by the parent. One that is already here keeps what it is; null: it comes later. */
  private storeModules(modules: unknown): void {
    for (const [id, , packed] of modules as [string, string, Uint8Array | null][]) {
      if (packed !== null && !this.#packed.has(id)) this.#packed.set(id, packed);
    }
  }

  take(id: string): Uint8Array | undefined {
    const packed = this.#packed.get(id);
    // Evaluated once; its place says that it was here.
    if (packed !== undefined) this.#packed.set(id, EMPTY);
    return packed;
  }

  async fetch(...request: [parentId: string, specifier: string, kind: ImportKind]): Promise<string> {
    return readAnswer(await new Promise<Message>((resolve) => this.askMaster(request, resolve)));
  }

  /** Asks for a module; answers the handle that its answer comes to. */
  askMaster(request: readonly string[], onAnswer: (message: Message) => void): number {
    const router = this.#router;
    // Only the master's word counts: a sibling must not decide what a module is.
    const options = { persist: false, respondent: router.contextById(MASTER) };
    const replyTo = router.addHandler(onAnswer, options);
    router.route(
      Message.to(router, { dstId: MASTER, handle: Handle.GET_MODULE, replyTo }, { value: request }),
    );
    return replyTo;
  }
}

/** Only the master resolves; hops keep what passes. */
const MASTER = 0;
const EMPTY = new Uint8Array(0);

/** What a name stands for in the exports of its module. Throws a TypeError when that is no function. */
export function findFunction(root: unknown, name: FunctionName): { fn: AnyFunction; owner: unknown } {
  let owner: unknown;
  let value = root;
  for (const key of name.path) {
    // As if it had been imported by its name: an ES module's function has no `this`.
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
