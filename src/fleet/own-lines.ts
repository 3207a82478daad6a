import { libraryUrl } from "../library.ts";
import { MAX_RECEIVED_STACK } from "../text/received-stack.ts";
import { hide } from "../wire/values/error-value.ts";
import { attempt, read } from "../wire/values/thrown.ts";

const HERE: string = libraryUrl(".");
/** The lines between those of this library: they show how Node runs promises. */
const BETWEEN = "(node:internal/process/task_queues:";

/**
 * Takes this library's own lines out of the stack of a host's error. The fleet makes the calls, so these lines lead to no
 * line of the program. Lines of the context stay.
 */
export function withoutOwnLines(error: Error): void {
  const stack = read(error, "stack");
  if (typeof stack !== "string" || stack.length > MAX_RECEIVED_STACK || !stack.includes(HERE)) return;
  const lines = stack.split("\n");
  const first = lines.findIndex((line) => line.includes(HERE));
  const isOwn = (line: string, at: number) => at >= first && (line.includes(HERE) || line.includes(BETWEEN));
  // The program may have frozen the error.
  attempt(() => hide(error, "stack", lines.filter((line, at) => !isOwn(line, at)).join("\n")));
}
