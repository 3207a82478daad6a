import type { Message } from "../../core/message.ts";
import { Handle } from "../../wire/handles.ts";
import type { ImportKind } from "../module-record.ts";
import { readAnswer } from "./read-answer.ts";

/** Lets the main thread block until an answer arrives: see `BrokerLink.waitFor`. */
export interface SyncWaiter {
  waitFor(isUrgent: (frame: { handle: number }) => boolean, isDone: () => boolean): void;
}

/** Asks the master for modules. */
export interface ModuleAsker {
  readonly waiter: SyncWaiter;
  /** Asks for a module. Returns the handle to which the answer will come. */
  askMaster(request: readonly string[], onAnswer: (message: Message) => void): number;
}

/**
 * Asks for a module that the resolution maps do not name. Blocks until it is here, because `require` is
 * synchronous. Returns its id.
 */
export function fetchSync(
  asker: ModuleAsker,
  ...request: [parentId: string, specifier: string, kind: ImportKind]
): string {
  let answer: Message | undefined;
  const replyTo = asker.askMaster(request, (message) => {
    answer = message;
  });
  asker.waiter.waitFor(
    // DEL_ROUTE announces the loss of the master, when a context above has been detached.
    ({ handle }) => handle === replyTo || handle === Handle.LOAD_MODULE || handle === Handle.DEL_ROUTE,
    () => answer !== undefined,
  );
  return readAnswer(answer as unknown as Message);
}
