import type { Context } from "../../core/context.ts";
import { importLate } from "../../core/late-import.ts";
import { getLogger } from "../../core/log.ts";
import type { ConnectOptions, Provision } from "../method.ts";
import type { RouterOptions } from "../router.ts";
import type { OpenProvisioner } from "./plan.ts";

/** What brings a runtime; loaded with the first target that needs one. */
type Bringing = typeof import("./bringing.ts");

const log = getLogger("mitogen.runtime");

/** What a program's router knows of hosts without node: who is to get one, and where it comes from. */
export class ProgramRuntimes {
  readonly #mode: Provision;
  readonly #runtimes: Readonly<Record<string, string>>;
  /** Of contexts, as far as it is not the router's: those behind them inherit it. */
  readonly #modes: WeakMap<Context, Provision> = new WeakMap();
  #bringing: Promise<Bringing> | undefined;

  constructor(options: Pick<RouterOptions, "provision" | "runtimes">) {
    this.#mode = options.provision ?? false;
    this.#runtimes = options.runtimes ?? {};
  }

  /** How a context was made; those behind it are to be made so too. */
  note(context: Context, { provision, via }: ConnectOptions): void {
    const mode = provision ?? (via === undefined ? undefined : this.modeOf(via));
    if (mode !== undefined) this.#modes.set(context, mode);
  }

  /** What is done for targets behind a context. */
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
      log.debug("The target has no node that will do: it is brought one");
      return provisioner(provision, programSupply(this.#runtimes), onProgress);
    };
  }

  #load(): Promise<Bringing> {
    this.#bringing ??= importLate(() => import("./bringing.ts"));
    return this.#bringing;
  }
}
