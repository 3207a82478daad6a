import { CancelledError, type ConnectDetails } from "../../errors.ts";
import { getLogger } from "../../logging/log.ts";
import { monotonicMs } from "../../waiting/monotonic.ts";
import { type ConnectionMethod, type ConnectOptions, DEFAULT_CONNECT_MS } from "../methods/method.ts";
import type { OpenProvisioner } from "../runtime/plan.ts";
import { cancelled, type RunningConnect } from "./running-connect.ts";

/** What a repeated connect knows of the tries before it. */
export interface EarlierTries {
  /** When the first try began. */
  readonly startedAt: number;
  /** Whether the last try failed without any output on stderr. */
  readonly wasSilent: boolean;
  /** Whether the target's own node is of no use, and is not looked for. */
  readonly isWithoutNode?: boolean;
}

/**
 * The next try waits for a random part of this time, which doubles with each try. Clients that were turned
 * away together must not come back together.
 */
const FIRST_RETRY_MS = 100;
const MAX_RETRY_MS = 2000;
const MAX_RETRIES = 15;
/** The most targets that are remembered. A forgotten target costs one more try. */
const MAX_NODELESS = 1000;

const log = getLogger("mitogen.connect");

/** Targets with a node that is of no use. It is not tried again. */
export class NodelessTargets {
  readonly #targets: Set<string> = new Set();

  has(target: string | undefined): boolean {
    return target !== undefined && this.#targets.has(target);
  }

  add(target: string | undefined): void {
    if (target !== undefined && this.#targets.size < MAX_NODELESS) this.#targets.add(target);
  }
}

/**
 * Connects by `tryOnce`, again if the target has turned the tool away, or has a node of no use and may be
 * given another. All tries together keep the timeout of the connect, which begins again for another node.
 */
export async function withSecondTries<O extends ConnectOptions, Child>(
  connect: RunningConnect,
  method: ConnectionMethod<O>,
  options: O,
  openProvisioner: OpenProvisioner | undefined,
  nodeless: NodelessTargets,
  tryOnce: (earlier: EarlierTries) => Promise<Child>,
): Promise<Child> {
  let startedAt = monotonicMs();
  let deadline = startedAt + (options.timeoutMs || DEFAULT_CONNECT_MS);
  let wasSilent = false;
  const target = openProvisioner && targetOf(method, options);
  let isWithoutNode = nodeless.has(target);
  for (let turn = 1; ; turn++) {
    try {
      return await tryOnce({ startedAt, wasSilent, isWithoutNode });
    } catch (error) {
      if (!isWithoutNode && isNodeUseless(error) && (await openProvisioner?.()) !== undefined) {
        log.debug(`${method.name}: the target has a node that is of no use, and is given another`);
        isWithoutNode = true;
        nodeless.add(target);
        startedAt = monotonicMs();
        deadline = startedAt + (options.timeoutMs || DEFAULT_CONNECT_MS);
        continue;
      }
      const delayMs = Math.random() * Math.min(MAX_RETRY_MS, FIRST_RETRY_MS * 2 ** turn);
      const isLast = turn > MAX_RETRIES || monotonicMs() + delayMs >= deadline;
      if (isLast || error instanceof CancelledError || !wasTurnedAway(method, error)) throw error;
      wasSilent = (error as { details?: ConnectDetails }).details?.stderr === "";
      log.debug(`${method.name}: turned away, trying again in ${Math.round(delayMs)} ms`);
      await pause(delayMs, method, connect);
    }
  }
}

/** Waits before another try. Rejects with a CancelledError if the connect is cancelled meanwhile. */
async function pause(
  ms: number,
  { name }: Pick<ConnectionMethod, "name">,
  connect: RunningConnect,
): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  try {
    await new Promise<void>((resolve, reject) => {
      timer = setTimeout(resolve, ms);
      connect.begin({ cancel: async (why, cause) => reject(cancelled(name, why, cause)) });
    });
  } finally {
    clearTimeout(timer);
  }
}

/** Names the target of a connect, for later connects. Undefined for options that cannot be compared. */
function targetOf(
  { name }: Pick<ConnectionMethod, "name">,
  options: ConnectOptions & { password?: unknown; answers?: unknown },
): string | undefined {
  // No password is kept.
  const { via: _, password: __, answers: ___, signal: ____, ...others } = options;
  try {
    return JSON.stringify([name, others]);
  } catch {
    // A method of the program's own may have any.
    return undefined;
  }
}

/** Whether there is a node, or should be, and it is of no use. If none was found, the connect itself deals with that. */
function isNodeUseless(error: unknown): boolean {
  const { code, details } = error as { code?: string; details?: ConnectDetails };
  const isUseless = code === "ERR_NO_NODE" || code === "ERR_NODE_VERSION" || code === "ERR_POLICY";
  return isUseless && (details?.stage === "node" || details?.stage === "ready");
}

function wasTurnedAway(
  { wasTurnedAway: judge }: Pick<ConnectionMethod, "wasTurnedAway">,
  error: unknown,
): boolean {
  const { details } = error as { details?: ConnectDetails };
  return details !== undefined && judge?.(details.stderr.split("\n"), details.exitCode) === true;
}
