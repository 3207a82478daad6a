import type { Message } from "../../core/message.ts";
import { Handle } from "../../wire/handles.ts";
import type { ImportKind } from "../module-record.ts";
import { readAnswer } from "./read-answer.ts";

/** How the main thread waits for an answer without giving up control; see `BrokerLink.waitFor`. */
export interface SyncWaiter {
  waitFor(isUrgent: (frame: { handle: number }) => boolean, isDone: () => boolean): void;
}

/** Who asks the master for modules. */
export interface ModuleAsker {
  readonly waiter: SyncWaiter;
  /** Asks for a module; answers the handle that its answer comes to. */
  askMaster(request: readonly string[], onAnswer: (message: Message) => void): number;
}

/** Asks for what the resolution maps do not name, and blocks until it is there, as `require` needs it: answers its id. */
export function fetchSync(
  asker: ModuleAsker,
  ...request: [parentId: string, specifier: string, kind: ImportKind]
): string {
  let answer: Message | undefined;
  const replyTo = asker.askMaster(request, (message) => {
    answer = message;
  });
  asker.waiter.waitFor(
    // DEL_ROUTE: that of the master, when a context above has been detached.
    ({ handle }) => handle === replyTo || handle === Handle.LOAD_MODULE || handle === Handle.DEL_ROUTE,
    () => answer !== undefined,
  );
  return readAnswer(answer as unknown as Message);
}
