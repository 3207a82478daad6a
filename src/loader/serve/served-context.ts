import { createHash } from "node:crypto";
import { fileURLToPath } from "node:url";
import type { ModuleRecord } from "../module-record.ts";
import { packageRoot } from "../resolve/package-scope.ts";
import type { ModuleRequest } from "./module-request.ts";
import type { Vouched } from "./serve-policy.ts";

/** How many answered requests are remembered, to recognise those that should not have been repeated. */
const MAX_ANSWERED = 1_000;

/** What a context has been sent, and what it may therefore ask for. Dropped when the context is gone. */
export class ServedContext implements Vouched {
  readonly nodeVersion: string;
  /** Ids of modules and of library parts. */
  readonly sent: Set<string> = new Set();
  /** Roots whose whole graph has been sent. */
  readonly complete: Set<string> = new Set();
  /** Roots whose graph is being sent. */
  readonly pushing: Map<string, Promise<void>> = new Map();
  /** Requests that wait for modules to be read and compiled. */
  pendingCount = 0;
  /** In the order in which they were sent. Those after `#seen` have not been examined yet. */
  readonly #records: ModuleRecord[] = [];
  #seen = 0;
  readonly #named: Set<string> = new Set();
  readonly #packageRoots: Set<string> = new Set();
  readonly #broken: Map<string, Error> = new Map();
  /** Hashes of requests, because their text comes from the child and may have any length and number. */
  readonly #answered: Set<string> = new Set();

  constructor(nodeVersion: string) {
    this.nodeVersion = nodeVersion;
  }

  /** Records a module that is about to be sent, unless it was sent before. */
  note(record: ModuleRecord): void {
    if (!this.sent.has(record.id)) this.#records.push(record);
  }

  /** The modules that the context has, in the form in which it has them. */
  get records(): readonly ModuleRecord[] {
    return this.#records;
  }

  has(id: string): boolean {
    return this.sent.has(id);
  }

  names(id: string): boolean {
    this.lookThrough();
    return this.#named.has(id);
  }

  failure({ parentId, specifier, kind }: ModuleRequest): Error | undefined {
    this.lookThrough();
    return this.#broken.get(`${parentId} ${kind} ${specifier}`);
  }

  packageRoots(): ReadonlySet<string> {
    this.lookThrough();
    return this.#packageRoots;
  }

  /** Whether the same request was answered with a module before. */
  wasAnswered(request: ModuleRequest): boolean {
    return this.#answered.has(hash(request));
  }

  /** Remembers an answer. Forgets the oldest when there are too many. */
  noteAnswer(request: ModuleRequest): void {
    this.#answered.add(hash(request));
    if (this.#answered.size <= MAX_ANSWERED) return;
    for (const oldest of this.#answered) {
      this.#answered.delete(oldest);
      return;
    }
  }

  /** Examines the new records. Called only when the result is needed, because most contexts never ask. */
  private lookThrough(): void {
    for (const { id, imports, requires, broken } of this.#records.slice(this.#seen)) {
      for (const [key, error] of broken ?? []) this.#broken.set(`${id} ${key}`, error);
      this.#named.add(id);
      for (const map of [imports, requires]) {
        for (const named of Object.values(map)) if (/^(?:file|data):/.test(named)) this.#named.add(named);
      }
      const root = id.startsWith("file:") ? packageRoot(fileURLToPath(id)) : undefined;
      if (root !== undefined) this.#packageRoots.add(root);
    }
    this.#seen = this.#records.length;
  }
}

/**
 * The contexts that modules may be sent to. For a context that was sent nothing and has asked for nothing, only
 * the version is kept: most contexts of a large tree are like that, and a child may announce many that do not
 * exist.
 */
export class ServedContexts {
  readonly #contexts: Map<number, string | ServedContext> = new Map();

  add(contextId: number, nodeVersion: string): void {
    this.#contexts.set(contextId, nodeVersion);
  }

  forget(contextId: number): void {
    this.#contexts.delete(contextId);
  }

  get(contextId: number): ServedContext | undefined {
    const known = this.#contexts.get(contextId);
    if (typeof known !== "string") return known;
    const served = new ServedContext(known);
    this.#contexts.set(contextId, served);
    return served;
  }

  /** Returns what a context was sent. Undefined if it was sent nothing. */
  peek(contextId: number): ServedContext | undefined {
    const known = this.#contexts.get(contextId);
    return typeof known === "string" ? undefined : known;
  }

  versionOf(contextId: number): string | undefined {
    const known = this.#contexts.get(contextId);
    return typeof known === "string" ? known : known?.nodeVersion;
  }

  /** The contexts that were sent something. */
  *[Symbol.iterator](): IterableIterator<[contextId: number, served: ServedContext]> {
    for (const [contextId, known] of this.#contexts) if (typeof known !== "string") yield [contextId, known];
  }
}

function hash({ parentId, specifier, kind }: ModuleRequest): string {
  return createHash("sha256")
    .update(JSON.stringify([parentId, specifier, kind]))
    .digest("base64url");
}
