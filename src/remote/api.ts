import { callFeatures } from "../calls/call-features.ts";
import type { Dispatcher } from "../calls/dispatcher.ts";
import { commandsInChild } from "../commands/in-child.ts";
import { KeptContext } from "../connection/kept-context.ts";
import { Broker } from "../core/broker.ts";
import { Context } from "../core/context.ts";
import { installFeatures } from "../core/features.ts";
import { FunctionRef } from "../core/function-ref.ts";
import { getLogger } from "../core/log.ts";
import { Message } from "../core/message.ts";
import { hasParentAuthority, isImmediateChild } from "../core/policies.ts";
import { Receiver } from "../core/receiver.ts";
import { ref } from "../core/ref.ts";
import type { CoreRouter } from "../core/router.ts";
import { Sender } from "../core/sender.ts";
import * as errors from "../errors.ts";
import { filesInChild } from "../files/in-child.ts";
import { builtinExports } from "../loader/builtins.ts";
import type { Importer } from "../loader/importer.ts";
import { serviceCallsOf } from "../service/client.ts";
import { servicesInChild } from "../service/in-child.ts";
import { Blob } from "../wire/blob.ts";
import { cast } from "../wire/cast.ts";
import { Secret } from "../wire/secret.ts";
import type { BrokerLink } from "./broker-link.ts";
import { childFunctions } from "./child-functions.ts";
import { debugging } from "./debugging.ts";
import { externalContext } from "./external-context.ts";
import { remoteResources } from "./resource.ts";
import type { ChildConfig } from "./shared-state.ts";
import { sshCommands } from "./ssh-command.ts";

/** What needs the terminal of the program. */
const programOnly = {
  askPassword: () => {
    throw new errors.MitogenError(
      "Cannot ask for a password in a context: only the program itself has a terminal; pass the password as an argument",
    );
  },
};

/** The child it is part of. */
export interface Host {
  readonly router: CoreRouter;
  readonly importer: Importer;
  readonly dispatcher: Dispatcher;
  readonly config: ChildConfig;
  readonly link: BrokerLink;
  /** Of the connection to the parent; a thread has none. */
  readonly nonce: string | undefined;
}

/**
 * What `import "mitogen"` is inside a child: the same names as in the master. What starts or configures a program does
 * nothing here; the program has been started already.
 */
export function mitogenModule(host: Host): Record<string, unknown> {
  const { router, importer, dispatcher, config } = host;
  router.functions = childFunctions(importer);
  installFeatures(router, serviceCallsOf);
  return {
    ...errors,
    ...servicesInChild(router, importer),
    ...callFeatures(router, dispatcher, importer, builtinExports),
    ...externalContext(host),
    ...debugging(router, dispatcher, config),
    ...sshCommands(router),
    ...commandsInChild(router),
    ...filesInChild(router),
    ...programOnly,
    Blob,
    Broker,
    Context,
    FunctionRef,
    KeptContext,
    Message,
    Receiver,
    Secret,
    Sender,
    cast,
    getLogger,
    hasParentAuthority,
    isImmediateChild,
    isMain: () => false,
    logToFile: () => undefined,
    onLog: () => () => undefined,
    ref,
    resource: remoteResources(router),
    runWithRouter: async () => undefined,
    withRouter: () => async () => undefined,
  };
}
