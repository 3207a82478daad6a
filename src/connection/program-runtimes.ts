import type { Context } from "../core/context.ts";
import type { Message } from "../core/message.ts";
import type { CoreRouter } from "../core/router.ts";
import { getLogger } from "../logging/log.ts";
import { importLate } from "../process/late-import.ts";
import { messageOf } from "../wire/values/thrown.ts";
import type { ConnectOptions, Provision } from "./methods/method.ts";
import { tellProgress } from "./request-connect.ts";
import { GET_RUNTIME, type OpenProvisioner, type ProvisionProgress } from "./runtime/plan.ts";

/** The code that brings a runtime, loaded with the first target that needs one. */
type Bringing = typeof import("./runtime/packs/bringing.ts");

const log = getLogger("mitogen.runtime");
/** Of one context: it asks for some parts ahead. */
const MAX_WAITING = 64;

/** The options of a router about runtimes. */
interface RuntimeOptions {
  readonly provision?: Provision;
  readonly runtimes?: Readonly<Record<string, string>>;
}

/** Decides for a program's router which targets get a node, and where it comes from. */
export class ProgramRuntimes {
  readonly #mode: Provision;
  readonly #runtimes: Readonly<Record<string, string>>;
  /** The option of contexts that differs from the router's. Contexts behind them inherit it. */
  readonly #modes: WeakMap<Context, Provision> = new WeakMap();
  #bringing: Promise<Bringing> | undefined;

  readonly #router: CoreRouter;
  /** How many requests of each context have not been answered yet. */
  readonly #waiting: Map<number, number> = new Map();

  constructor(router: CoreRouter, options: RuntimeOptions) {
    this.#router = router;
    router.addHandler((message) => void this.#answer(message), { handle: GET_RUNTIME, service: true });
    this.#mode = options.provision ?? false;
    this.#runtimes = options.runtimes ?? {};
  }

  /** Notes the options of a connect, which contexts behind the new one inherit. */
  note(context: Context, { provision, via }: ConnectOptions): void {
    const mode = provision ?? (via === undefined ? undefined : this.modeOf(via));
    if (mode !== undefined) this.#modes.set(context, mode);
  }

  /** Returns what to do for targets behind a context. */
  modeOf(context: Context): Provision {
    for (let each: Context | undefined = context; each !== undefined; each = each.via) {
      const mode = this.#modes.get(each);
      if (mode !== undefined) return mode;
    }
    return this.#mode;
  }

  /** For a connect that starts here. */
  forConnect({ provision = this.#mode, onProgress }: ConnectOptions): OpenProvisioner | undefined {
    if (provision === false) return undefined;
    return async () => {
      const { programSupply, provisioner } = await this.#load();
      log.debug("The target has no suitable node: bringing one");
      const tell = (progress: ProvisionProgress | undefined): void => {
        if (progress !== undefined) tellProgress(onProgress, progress);
      };
      return provisioner(provision, programSupply(this.#runtimes), tell);
    };
  }

  /** Whether a context may have to bring a node. */
  mayProvision({ provision, via }: ConnectOptions): boolean {
    return (provision ?? (via === undefined ? this.#mode : this.modeOf(via))) !== false;
  }

  /**
   * Answers a context whose child has no node. It gets only what any target gets: a node, and this library's own code.
   */
  async #answer(message: Message): Promise<void> {
    const { srcId } = message;
    const waiting = this.#waiting.get(srcId) ?? 0;
    if (waiting >= MAX_WAITING) {
      this.#router.answerDead(message, "Cannot bring a runtime: too many requests are waiting");
      return;
    }
    this.#waiting.set(srcId, waiting + 1);
    try {
      const request: unknown = message.decode();
      const [kind, first, packedBytes, offset] = Array.isArray(request) ? (request as unknown[]) : [];
      if (kind === "mode") {
        const isGiven = first === "cache" || first === "memory";
        message.reply(isGiven ? first : this.modeOf(message.context));
        return;
      }
      const { answerHop } = await this.#load();
      const answer = await answerHop(this.#runtimes, kind, first, packedBytes, offset);
      // Not faster than the context takes the bytes.
      await this.#router.peerOf(srcId)?.link.drained?.();
      message.reply(answer);
    } catch (error) {
      this.#router.answerDead(message, messageOf(error));
    } finally {
      const left = (this.#waiting.get(srcId) ?? 1) - 1;
      if (left === 0) this.#waiting.delete(srcId);
      else this.#waiting.set(srcId, left);
    }
  }

  #load(): Promise<Bringing> {
    this.#bringing ??= importLate(() => import("./runtime/packs/bringing.ts"));
    // The next target asks again: descriptors may have run out.
    this.#bringing.catch(() => {
      this.#bringing = undefined;
    });
    return this.#bringing;
  }
}
