import type { Message } from "../core/message.ts";
import type { CoreRouter } from "../core/router.ts";
import type { FunctionName } from "../functions/function-name.ts";
import { AllowAny, AllowParents, argSpec, expose, noReply } from "./exposed.ts";
import { DeduplicatingInvoker, Invoker, SerializedInvoker } from "./invoker.ts";
import { NO_REPLY, Pool } from "./pool.ts";
import { servicesOf } from "./router-services.ts";
import { Service } from "./service.ts";

/** Loads the object that a reference names, evaluating its module if needed. */
interface Loader {
  load(name: FunctionName): Promise<{ fn: unknown }>;
}

/** Makes a child a host of services. Returns the related exports of `import "mitogen"`. */
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
    /** The dispatcher calls this for requests that came before there was a pool. They come from contexts above. */
    acceptServiceCall: (message: Message) => {
      const pool = state.pool ?? new Pool(router);
      pool.accept(message);
    },
  };
}
