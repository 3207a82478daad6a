import { createHash } from "node:crypto";
import { promisify } from "node:util";
import { constants, deflateRaw, deflateRawSync } from "node:zlib";
import { PARENT_ROLE_SOURCE } from "../bootstrap/parent-role.generated.ts";
import type { Context } from "../core/context.ts";
import { getLogger } from "../core/log.ts";
import type { Message } from "../core/message.ts";
import type { CoreRouter, FunctionName, Functions } from "../core/router.ts";
import { ProtocolError } from "../errors.ts";
import { encodeValue } from "../wire/encoder.ts";
import { Handle } from "../wire/handles.ts";
import { isBuiltin, PARENT_ROLE } from "./builtins.ts";
import { Compiler } from "./compile.ts";
import { referenceFunction, warmUpReferences } from "./function-reference.ts";
import { ModuleGraph } from "./graph.ts";
import { ModuleForwarder } from "./module-forwarder.ts";
import type { ImportKind, ModuleRecord } from "./module-record.ts";

/** What serving modules has cost so far. */
export interface ModuleStats {
  /** Modules sent, pushed ahead or asked for. */
  moduleCount: number;
  /** Their compressed bytes. */
  moduleBytes: number;
  /** Requests by children, and how many were refused. */
  requestCount: number;
  refusedCount: number;
}

/** What one context has been sent. */
interface Target {
  readonly nodeVersion: string;
  readonly sent: Set<string>;
  /** Roots whose whole graph is there. */
  readonly complete: Set<string>;
}

interface Packed {
  readonly hash: string;
  readonly bytes: Uint8Array;
}

const compress = promisify(deflateRaw) as (bytes: Buffer, options: { level: number }) => Promise<Buffer>;
const log = getLogger("mitogen.responder");

/** Shared by all routers of this process: a module is compiled and compressed once, not once per target. */
const compiler = new Compiler();
const graph = new ModuleGraph(compiler);
const packed = new WeakMap<ModuleRecord, Promise<Packed>>();
const byHash = new Map<string, Uint8Array>();
/** 132 bits: enough to never collide by chance; only the master's own modules are hashed. */
const HASH_CHARACTERS = 22;

/**
 * Serves the program's modules to its contexts: pushes what a call needs ahead of it, and answers what children ask for while
 * they evaluate. Only the program's own graph is served; a child's word is never a path. docs/protocol.md#modules
 */
export class ModuleResponder implements Functions {
  readonly #targets: Map<number, Target> = new Map();
  readonly #forwarder: ModuleForwarder;
  readonly #stats: ModuleStats = { moduleCount: 0, moduleBytes: 0, requestCount: 0, refusedCount: 0 };

  constructor(router: CoreRouter) {
    this.#forwarder = new ModuleForwarder(router, (hash) => byHash.get(hash));
    router.addHandler((message) => void this.answer(message), { handle: Handle.GET_MODULE, service: true });
  }

  /** Counters since this router was made. */
  get stats(): Readonly<ModuleStats> {
    return { ...this.#stats };
  }

  /** A context that modules may be sent to, from now until {@link forget}. */
  addTarget(contextId: number, nodeVersion: string): void {
    this.#targets.set(contextId, { nodeVersion, sent: new Set(), complete: new Set() });
  }

  forget(contextId: number): void {
    this.#targets.delete(contextId);
  }

  /** Makes a context able to have children: sends its broker thread what leaves do without. */
  sendParentRole(contextId: number): void {
    const target = this.#targets.get(contextId);
    if (target !== undefined) this.sendPacked(contextId, target, [[PARENT_ROLE, parentRole()]]);
  }

  /** Does now, while a child is starting anyway, what the first call would have to wait for. */
  warmUp(): void {
    if (isWarm) return;
    isWarm = true;
    warmUpReferences();
  }

  nameOf(fn: (...args: never[]) => unknown): FunctionName {
    return referenceFunction(fn);
  }

  prepare(context: Context, { module }: FunctionName): Promise<void> | undefined {
    if (module === "global" || isBuiltin(module)) return undefined;
    const target = this.#targets.get(context.contextId);
    if (target === undefined || target.complete.has(module)) return undefined;
    return this.push(context.contextId, target, module);
  }

  originalStack(stack: string, context: Context): string {
    return compiler.originalStack(stack, this.#targets.get(context.contextId)?.nodeVersion);
  }

  /** Sends the part of the graph of `id` that the target lacks. */
  private async push(contextId: number, target: Target, id: string): Promise<void> {
    const records = await graph.closure(id, target.nodeVersion, (each) => target.sent.has(each));
    await this.send(contextId, target, records);
    target.complete.add(id);
  }

  private async send(contextId: number, target: Target, records: readonly ModuleRecord[]): Promise<void> {
    const modules = await Promise.all(
      records.map(async (record) => [record.id, await pack(record)] as const),
    );
    this.sendPacked(contextId, target, modules);
  }

  private sendPacked(
    contextId: number,
    target: Target,
    modules: readonly (readonly [string, Packed])[],
  ): void {
    // Another push may have sent some of them while these were compressed.
    const missing = modules.filter(([id]) => !target.sent.has(id));
    for (const [id, { bytes }] of missing) {
      target.sent.add(id);
      this.#stats.moduleCount += 1;
      this.#stats.moduleBytes += bytes.length;
    }
    log.debug(
      `Sending ${missing.length} modules to context ${contextId}: ${missing.map(([id]) => id).join(", ")}`,
    );
    this.#forwarder.forward(
      contextId,
      missing.map(([id, { hash }]) => [id, hash]),
    );
  }

  /** A child asks what a specifier means that its maps do not name. Everything in the request is hostile until checked. */
  private async answer(message: Message): Promise<void> {
    this.#stats.requestCount += 1;
    try {
      const [parentId, specifier, kind] = parseRequest(message.decode());
      const target = this.#targets.get(message.srcId);
      if (target === undefined) throw new ProtocolError(`context ${message.srcId} is not served modules`);
      // Without a specifier: a function's module, by id. Only what has been sent to some context before.
      if (specifier === "" && graph.isVouched(parentId)) {
        await this.push(message.srcId, target, parentId);
        message.reply(parentId);
        return;
      }
      const found = graph.mayServe((id) => target.sent.has(id), parentId, specifier, kind);
      if ("refused" in found && found.error !== undefined) {
        // An optional dependency, perhaps: the child's own matter.
        this.#stats.refusedCount += 1;
        log.debug(`No module for ${message.context.name}: ${found.error.message}`);
        message.reply([found.error.message, found.error.code]);
        return;
      }
      if ("refused" in found) {
        this.refuse(
          message,
          `Cannot find module '${specifier}' imported from ${parentId}: ${found.refused}`,
          kind,
        );
        return;
      }
      if ("builtin" in found) {
        message.reply(found.builtin);
        return;
      }
      await this.push(message.srcId, target, found.id);
      message.reply(found.id);
    } catch (error) {
      this.refuse(message, (error as Error).message, "import");
    }
  }

  private refuse(message: Message, reason: string, kind: ImportKind): void {
    this.#stats.refusedCount += 1;
    log.warning(`Refused a module to ${message.context.name}: ${reason.slice(0, 2000)}`);
    message.reply([reason, kind === "import" ? "ERR_MODULE_NOT_FOUND" : "MODULE_NOT_FOUND"]);
  }
}

/** A record as it crosses links: compressed once, whoever it is sent to. */
function pack(record: ModuleRecord): Promise<Packed> {
  let done = packed.get(record);
  if (done === undefined) {
    const { format, source, imports, requires, exports } = record;
    const plain = Buffer.concat(encodeValue([format, source, imports, requires, exports]));
    done = compress(plain, { level: constants.Z_DEFAULT_COMPRESSION }).then(keep);
    packed.set(record, done);
  }
  return done;
}

/** Hops tell modules apart by content: the same file is another module for another Node. */
function keep(bytes: Uint8Array): Packed {
  const hash = createHash("sha256").update(bytes).digest("base64url").slice(0, HASH_CHARACTERS);
  byHash.set(hash, bytes);
  return { hash, bytes };
}

let isWarm = false;
let packedParentRole: Packed | undefined;

function parentRole(): Packed {
  packedParentRole ??= keep(deflateRawSync(PARENT_ROLE_SOURCE, { level: 9 }));
  return packedParentRole;
}

function parseRequest(value: unknown): [string, string, ImportKind] {
  const [parentId, specifier, kind] = Array.isArray(value) ? value : [];
  if (
    typeof parentId === "string" &&
    typeof specifier === "string" &&
    (kind === "import" || kind === "require")
  ) {
    return [parentId, specifier, kind];
  }
  throw new ProtocolError("a module request must be [parent id, specifier, kind]");
}
