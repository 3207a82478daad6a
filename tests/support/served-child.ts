import { inflateRawSync } from "node:zlib";
import { Message } from "../../src/core/message.ts";
import type { ImportKind } from "../../src/loader/module-record.ts";
import { ModuleResponder } from "../../src/loader/serve/responder.ts";
import { decodeValue } from "../../src/wire/cbor/decoder.ts";
import { Handle } from "../../src/wire/handles.ts";
import { masterAndChild, type Pair } from "./fake-tree.ts";

/** The modules of one LOAD_MODULE: ids, hashes, and bytes unless they crossed the link before. */
export type Batch = readonly [
  targetId: number,
  modules: readonly (readonly [string, string, Uint8Array | null])[],
];

/** A master that serves modules, and a child that sends what the test wants. */
export interface Served extends Pair {
  readonly responder: ModuleResponder;
  readonly batches: Batch[];
  /** Asks as the child; the answer is an id, or [reason, code]. */
  ask(parentId: unknown, specifier: unknown, kind?: ImportKind): Promise<unknown>;
  /** Has the module's graph sent as a call would, without a call. */
  prepare(module: string): Promise<void>;
  /** Ids of all batches, in order. */
  sent(): string[];
  /** The source text of a module as it was sent last. */
  source(id: string): string;
}

export function servedChild(options: { nodeVersion?: string; maxMessageBytes?: number } = {}): Served {
  const pair = masterAndChild(options);
  const { master, child, context } = pair;
  const responder = new ModuleResponder(master);
  responder.addTarget(1, options.nodeVersion ?? "22.0.0");
  const batches: Batch[] = [];
  const take = (message: Message): void => {
    const [targetId, modules] = message.decode() as Batch;
    // The library's own parts come with the first modules.
    batches.push([targetId, modules.filter(([id]) => !id.startsWith("mitogen:"))]);
  };
  child.addHandler(take, { handle: Handle.LOAD_MODULE, service: true });
  return {
    ...pair,
    responder,
    batches,
    ask: (parentId, specifier, kind = "import") => {
      return child.contextById(0).request(Handle.GET_MODULE, [parentId, specifier, kind]);
    },
    prepare: async (module) => responder.prepare(context, { module, path: ["x"] }),
    sent: () => batches.flatMap(([, modules]) => modules.map(([id]) => id)),
    source: (id) => {
      const packed = batches.flatMap(([, modules]) => modules).findLast((each) => each[0] === id)?.[2];
      return packed ? String((decodeValue(inflateRawSync(packed)) as string[])[1]) : "";
    },
  };
}

/** Sends a request without waiting for its answer. */
export function shout({ child }: Served, body: Uint8Array | unknown): void {
  const to = { dstId: 0, handle: Handle.GET_MODULE, replyTo: 4_000 };
  child.route(Message.to(child, to, body instanceof Uint8Array ? { raw: body } : { value: body }));
}
