import type { Message } from "../core/message.ts";
import type { CoreRouter } from "../core/router.ts";
import type { FunctionName } from "../functions/function-name.ts";
import { AllowAny, AllowParents, argSpec, expose, noReply } from "./exposed.ts";
import { DeduplicatingInvoker, Invoker, SerializedInvoker } from "./invoker.ts";
import { NO_REPLY, Pool } from "./pool.ts";
import { servicesOf } from "./router-services.ts";
import { Service } from "./service.ts";

/** Finds what a reference names, evaluating its module if need be. */
interface Loader {
  load(name: FunctionName): Promise<{ fn: unknown }>;
}

/** Makes a child a host of services, and answers what `import "mitogen"` has of them there. */
export function servicesInChild(router: CoreRouter, importer: Loader): Record<string, unknown> {
  const state = servicesOf(router);
  state.load = async (reference) => (await importer.load(reference)).fn;
  return {
    AllowAny,
    AllowParents,
    DeduplicatingInvoker,
    Invoker,
    NO_REPLY,
    Pool,
    SerializedInvoker,
    Service,
    argSpec,
    expose,
    noReply,
    /** What the dispatcher calls with requests that came before there was a pool: they are from above. */
    acceptServiceCall: (message: Message) => {
      const pool = state.pool ?? new Pool(router);
      pool.accept(message);
    },
  };
}
