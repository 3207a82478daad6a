import { Channel } from "../../core/channel.ts";
import type { CoreRouter } from "../../core/router.ts";
import { Select } from "../../core/select.ts";
import { ChannelError } from "../../errors.ts";
import { CallChain } from "../caller/call-chain.ts";
import { Chains } from "./chains.ts";
import { CurrentCalls, currentCall, type RunningCall, runningCall } from "./current-call.ts";
import type { Dispatcher, FunctionLoader } from "./dispatcher.ts";
import type { Builtin } from "./interruptible.ts";
import { moduleFunctions } from "./module-functions.ts";
import { runStream } from "./run-stream.ts";

/**
 * Adds chains and `currentCall()` to calls. Returns the related exports of `import "mitogen"` in a child, and
 * the functions that chains, streams and imports of callers call.
 */
export function callsInChild(
  router: CoreRouter,
  dispatcher: Dispatcher,
  loader: FunctionLoader,
  builtin: Builtin,
): Record<string, unknown> {
  const chains = new Chains();
  const calls = new CurrentCalls();
  dispatcher.around = (call, perform) =>
    chains.run(call, (refusal) => calls.run(call, () => perform(refusal)));
  dispatcher.onCancelled = (call) => {
    calls.abort(call);
    chains.onCancelled(call);
  };
  router.lossListeners.push((contextIds, reason) => {
    const lost = new Set(contextIds);
    dispatcher.cancel(({ message }) => lost.has(message.srcId), new ChannelError(reason));
    chains.closeAll(lost);
  });
  const sourceId = (): number => currentCall().source.contextId;
  return {
    CallChain,
    Channel,
    Select,
    currentCall,
    moduleFunctions: (id: string) => moduleFunctions(loader, id),
    runStream: (...request: Parameters<typeof runStream>[3]) =>
      runStream(loader, builtin, runningCall() as RunningCall, request),
    openChain: (id: number) => chains.open(sourceId(), id),
    closeChain: (id: number) => chains.close(sourceId(), id),
  };
}
