import { installFeatures } from "../../calls/caller/router-features.ts";
import { callsInChild } from "../../calls/target/calls-in-child.ts";
import { commandsInChild } from "../../commands/commands-in-child.ts";
import { KeptContext } from "../../connection/kept-context.ts";
import { Context } from "../../core/context.ts";
import { Message } from "../../core/message.ts";
import { hasParentAuthority, isImmediateChild } from "../../core/policies.ts";
import { Receiver } from "../../core/receiver.ts";
import { Sender } from "../../core/sender.ts";
import * as errors from "../../errors.ts";
import { filesInChild } from "../../files/files-in-child.ts";
import { ref } from "../../functions/ref.ts";
import { builtinExports } from "../../loader/builtins.ts";
import { getLogger } from "../../logging/log.ts";
import { serviceCallsOf } from "../../service/client.ts";
import { servicesInChild } from "../../service/services-in-child.ts";
import { Broker } from "../../waiting/broker.ts";
import { Blob } from "../../wire/values/blob.ts";
import { cast } from "../../wire/values/cast.ts";
import { Secret } from "../../wire/values/secret.ts";
import { childFunctions } from "./child-functions.ts";
import { debugging } from "./debugging.ts";
import { econtextInChild } from "./econtext-in-child.ts";
import type { Host } from "./host.ts";
import { remoteResources } from "./resource.ts";
import { sshCommands } from "./ssh-command.ts";

/** Functions that need the terminal of the program. */
const programOnly = {
  askPassword: () => {
    throw new errors.MitogenError(
      "Cannot ask for a password in a context: only the program itself has a terminal; pass the password as an argument",
    );
  },
};

/**
 * Returns the exports of `import "mitogen"` inside a child: the same names as in the master. Functions that start
 * or configure a program do nothing, because the program has already been started. Others that only the program
 * can serve throw an error.
 */
export function mitogenModule(host: Host): Record<string, unknown> {
  const { router, importer, dispatcher, config } = host;
  router.functions = childFunctions(importer);
  installFeatures(router, serviceCallsOf);
  return {
    ...errors,
    ...servicesInChild(router, importer),
    ...callsInChild(router, dispatcher, importer, builtinExports),
    ...econtextInChild(host),
    ...debugging(router, dispatcher, config),
    ...sshCommands(router),
    ...commandsInChild(router),
    ...filesInChild(router),
    ...programOnly,
    Blob,
    Broker,
    Context,
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
