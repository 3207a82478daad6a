import { CallChain } from "../core/call-chain.ts";
import { Channel } from "../core/channel.ts";
import type { CurrentCall } from "../core/current-call.ts";
import { installFeatures } from "../core/features.ts";
import type { CoreRouter } from "../core/router.ts";
import { Select } from "../core/select.ts";
import { ChannelError } from "../errors.ts";
import { serviceCallsOf } from "../service/client.ts";
import { Chains } from "./chains.ts";
import { CurrentCalls } from "./current-calls.ts";
import type { Dispatcher } from "./dispatcher.ts";
import { runStream } from "./run-stream.ts";

/** Adds chains and `currentCall()` to a child's calls; what `import "mitogen"` gives of them, and what callers' chains call. */
export function callFeatures(
  router: CoreRouter,
  dispatcher: Dispatcher,
  loader: Parameters<typeof runStream>[0],
): Record<string, unknown> & { currentCall(): CurrentCall } {
  const chains = new Chains();
  const calls = new CurrentCalls();
  dispatcher.around = (call, perform) =>
    chains.run(call, (refusal) => calls.run(call, () => perform(refusal)));
  dispatcher.onCancelled = (call) => {
    calls.abort(call);
    chains.onCancelled(call);
  };
  installFeatures(router, serviceCallsOf);
  const forget = router.onContextsLost;
  router.onContextsLost = (contextIds, reason) => {
    forget?.(contextIds, reason);
    dispatcher.cancel(({ message }) => contextIds.includes(message.srcId), new ChannelError(reason));
    for (const contextId of contextIds) chains.closeAll(contextId);
  };
  const sourceId = (): number => calls.get().source.contextId;
  return {
    CallChain,
    Channel,
    Select,
    currentCall: () => calls.get(),
    runStream: (...request: Parameters<typeof runStream>[2]) => runStream(loader, calls.get(), request),
    openChain: (id: number) => chains.open(sourceId(), id),
    closeChain: (id: number) => chains.close(sourceId(), id),
  };
}
