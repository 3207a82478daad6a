import { inflateRawSync } from "node:zlib";
import { deadReason } from "../../core/message.ts";
import type { FrameRouter } from "../../routing/frame-router.ts";
import { decodeValue } from "../../wire/cbor/decoder.ts";
import { type Frame, joinBody } from "../../wire/frame.ts";
import { Handle } from "../../wire/handles.ts";
import { messageOf } from "../../wire/values/thrown.ts";
import type { ConnectOptions } from "../methods/method.ts";
import { GET_RUNTIME, type OpenProvisioner, type ProvisionMode } from "../runtime/plan.ts";
import type { HopRuntimes } from "../runtime/targets/hop-part.ts";
import type { FrameTalk } from "./frame-talk.ts";

/** How long the program may take to pack a runtime, or a context above to send a part of it. */
const RUNTIME_MS = 5 * 60_000;
/** Requests for parts of runtimes that one context below may have under way. It asks for some ahead. */
const MAX_READS = 16;

/**
 * Gets runtimes from above: for children of this context that have no node, and for contexts below that have
 * such children. The code for that is fetched when it is first needed.
 */
export class RuntimeRelay {
  readonly #router: FrameRouter;
  readonly #talk: FrameTalk;
  #runtimes: Promise<HopRuntimes> | undefined;
  /** Requests under way, by the context below that made them. */
  readonly #reads: Map<number, number> = new Map();

  constructor(router: FrameRouter, talk: FrameTalk) {
    this.#router = router;
    this.#talk = talk;
    router.listen((frame) => void this.read(frame), { handle: GET_RUNTIME, isService: true });
  }

  /**
   * How a child of this context gets a node, if the program wants that. `progressHandle` of the context that
   * asked for the child is told how far it is, unless it is 0.
   */
  openProvisioner(
    { provision }: ConnectOptions,
    requesterId: number,
    progressHandle = 0,
  ): OpenProvisioner | undefined {
    if (provision === false) return undefined;
    return async () => {
      // A detached context has no context above that could send one.
      if (this.#router.parentIds.length === 0) return undefined;
      const mode = await this.ask(0, ["mode", provision ?? null]);
      if (mode !== "cache" && mode !== "memory") return undefined;
      const runtimes = await this.runtimes();
      return runtimes.provisioner(mode as ProvisionMode, (progress) => {
        const figures = progress === undefined ? [] : [progress.sentBytes, progress.totalBytes];
        if (progressHandle !== 0) this.#talk.send(requesterId, progressHandle, 0, figures);
      });
    };
  }

  private runtimes(): Promise<HopRuntimes> {
    this.#runtimes ??= this.ask(0, ["code"]).then((packed) => {
      // biome-ignore lint/security/noGlobalEval: it is the library's own code; indirect, in the global scope
      const evaluate = eval;
      const load = evaluate(inflateRawSync(packed as Uint8Array).toString()) as (
        require: unknown,
        shared: object,
      ) => { HopRuntimes: typeof HopRuntimes };
      const { HopRuntimes: Runtimes } = load(require, {});
      return new Runtimes(
        (contextId, request) => this.ask(contextId, request),
        () => this.#router.parentIds[0] as number,
      );
    });
    // The next child asks again.
    this.#runtimes.catch(() => {
      this.#runtimes = undefined;
    });
    return this.#runtimes;
  }

  /** ["read", hash, length, offset] of a context below, whose children get a runtime by way of this one. */
  private async read(frame: Frame): Promise<void> {
    const { srcId } = frame;
    const reads = this.#reads.get(srcId) ?? 0;
    this.#reads.set(srcId, reads + 1);
    try {
      const [kind, hash, packedBytes, offset] = decodeValue(joinBody(frame)) as unknown[];
      const isRead = kind === "read" && typeof hash === "string" && hash.length <= 64 && reads < MAX_READS;
      if (!isRead || !Number.isSafeInteger(packedBytes) || !Number.isSafeInteger(offset)) {
        throw new RangeError(
          "Cannot read a runtime: the request is malformed, or there are too many requests",
        );
      }
      const runtimes = await this.runtimes();
      const bytes = await runtimes.read({ hash, packedBytes: packedBytes as number }, offset as number);
      // Not faster than the context takes the bytes.
      await this.#router.peerOf(srcId)?.link.drained?.();
      this.#talk.answer(frame, bytes);
    } catch (error) {
      this.#router.answerDead(frame, messageOf(error));
    } finally {
      const left = (this.#reads.get(srcId) ?? 1) - 1;
      if (left === 0) this.#reads.delete(srcId);
      else this.#reads.set(srcId, left);
    }
  }

  /** Asks one above at GET_RUNTIME. */
  private async ask(contextId: number, request: readonly unknown[]): Promise<unknown> {
    const late = "Cannot get a runtime: no answer";
    const reply = await this.#talk.ask(contextId, GET_RUNTIME, request, RUNTIME_MS, late);
    if (reply.replyTo === Handle.IS_DEAD) throw new Error(deadReason(reply));
    return decodeValue(joinBody(reply));
  }
}
