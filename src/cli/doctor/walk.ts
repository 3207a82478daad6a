import type { ConnectOptions } from "../../connection/methods/method.ts";
import type { Router } from "../../connection/router.ts";
import type { Context } from "../../core/context.ts";
import type { ConnectStage, StreamError } from "../../errors.ts";
import type { Host, Step } from "../../fleet/host.ts";
import { ref } from "../../loader/naming/located-ref.ts";
import { monotonicMs } from "../../waiting/monotonic.ts";
import type { WaitOptions } from "../../waiting/wait.ts";
import { messageOf } from "../../wire/values/thrown.ts";
import { wayTo } from "../dry-run.ts";
import { connectFailure } from "../screen/failure-text.ts";
import { shortTime } from "../screen/fit.ts";
import { type Finding, well, wrong } from "./finding.ts";
import { checkSsh, sshByHand } from "./ssh-checks.ts";

const userInfo = ref<() => { username: string }>("node:os", "userInfo");
const hostname = ref<() => string>("node:os", "hostname");
const release = ref<() => string>("node:os", "release");

/** The stages of a connect that succeed one after the other, in words. */
const STAGES: readonly (readonly [ConnectStage, string])[] = [
  ["spawn", "tool"],
  ["transport", "login"],
  ["shell", "shell"],
  ["provision", "provision"],
  ["node", "node"],
  ["ready", "greeting"],
];

/** Connects a host step by step, and reports each step. Stops at the first fault. Leaves nothing behind. */
export async function* walk(
  router: Router,
  host: Host,
  limits: ConnectOptions,
  signal: AbortSignal,
): AsyncGenerator<Finding> {
  const contexts: Context[] = [];
  try {
    yield well("way", wayTo(host));
    for (const step of host.steps) {
      for await (const finding of walkStep(router, step, contexts, limits, signal)) {
        yield finding;
        if (!finding.isWell) return;
      }
    }
    yield* examine(contexts.at(-1) as Context, { timeoutMs: limits.timeoutMs, signal });
  } finally {
    await contexts[0]?.shutdown();
  }
}

async function* walkStep(
  router: Router,
  step: Step,
  contexts: Context[],
  limits: ConnectOptions,
  signal: AbortSignal,
): AsyncGenerator<Finding> {
  const [[method, options]] = Object.entries(step) as [[string, Record<string, unknown>]];
  const via = contexts.at(-1);
  if (method === "ssh" && via === undefined) {
    for await (const finding of checkSsh(options as never, signal)) {
      yield finding;
      if (!finding.isWell) return;
    }
  }
  const name = wayTo({ steps: [step] });
  const byHand = method === "ssh" && via === undefined ? sshByHand(options as never) : undefined;
  const start = monotonicMs();
  try {
    const connect = (router as unknown as Record<string, (o: object) => Promise<Context>>)[method];
    const context = await connect?.call(router, {
      ...limits,
      signal,
      ...options,
      ...(via !== undefined && { via }),
    });
    contexts.push(context as Context);
    yield well("connect", `${name}: a context within ${shortTime(monotonicMs() - start)}`);
  } catch (error) {
    yield* explain(error, byHand);
  }
}

/** The findings of a failed connect: the stages that succeeded, and the one that failed. */
function* explain(error: unknown, byHand: string | undefined): Generator<Finding> {
  const { details, message } = Object(error) as Partial<StreamError>;
  if (details === undefined) {
    yield wrong("connect", String(message), "correct the step in the inventory", byHand);
    return;
  }
  const at = STAGES.findIndex(([stage]) => stage === details.stage);
  const before = STAGES.slice(0, at).filter(([stage]) => stage !== "provision");
  if (before.length > 0) yield well("reached", before.map(([, word]) => word).join(", "));
  const known = connectFailure(Object(error));
  const cure = known?.cure ?? "run the command below by hand";
  yield wrong(STAGES[at]?.[1] ?? "connect", known?.why ?? String(message), cure, byHand);
}

/** What a new context reports about itself. */
async function* examine(context: Context, limits: WaitOptions): AsyncGenerator<Finding> {
  const bound = context.with(limits);
  try {
    const { username } = await bound.call(userInfo);
    yield well(
      "call",
      `as ${username}, kernel ${await bound.call(release)} on ${await bound.call(hostname)}`,
    );
    const times = [await context.ping(limits), await context.ping(limits), await context.ping(limits)];
    yield well("ping", `${Math.min(...times).toFixed(1)} ms`);
  } catch (error) {
    limits.signal?.throwIfAborted();
    yield wrong("call", messageOf(error), "look at what keeps node there busy, or ends it");
  }
}
