import type { Sender } from "../../core/sender.ts";
import { printPath } from "../../functions/print-function.ts";
import type { RunningCall } from "./current-call.ts";
import type { FunctionLoader } from "./dispatcher.ts";
import { type Builtin, makeInterruptible } from "./interruptible.ts";

/**
 * Runs a generator for a reader elsewhere, who gets its values as they come and holds it back as it reads. Left by its reader, or given
 * up, it is ended where it stands: its `finally` runs. If it waits there for what src/calls/target/interruptible.ts knows, that is closed first.
 */
export async function runStream(
  loader: FunctionLoader,
  builtin: Builtin,
  call: RunningCall,
  [module, path, args, sender]: [string, string[], unknown[], Sender],
): Promise<void> {
  const { signal } = call;
  const { fn, owner } = loader.lookUp({ module, path }) ?? (await loader.load({ module, path }));
  const waits = makeInterruptible(call, builtin);
  const iterator = iteratorOf(await fn.apply(owner, args), path);
  const stop = async (): Promise<void> => {
    try {
      await iterator.return?.();
    } catch {
      // It ends all the same.
    }
  };
  const onAbort = (): void => {
    // A generator that waits takes note, and returns at what comes of its wait.
    void stop();
    waits.end();
  };
  signal.addEventListener("abort", onAbort);
  try {
    for (;;) {
      const { value, done } = await iterator.next();
      if (done === true || signal.aborted) return;
      await sender.send(await value);
    }
  } catch (error) {
    // It may be the value that cannot travel, or the reader that is gone.
    await stop();
    throw error;
  } finally {
    signal.removeEventListener("abort", onAbort);
    waits.forget();
  }
}

function iteratorOf(value: unknown, path: readonly string[]): Iterator<unknown> | AsyncIterator<unknown> {
  const { [Symbol.asyncIterator]: makeAsync, [Symbol.iterator]: makeSync } = Object(value);
  const make = makeAsync ?? makeSync;
  if (typeof make === "function" && typeof value !== "string") return make.call(value);
  const name = printPath(path);
  throw new TypeError(`Cannot stream ${name}: it returned nothing that can be iterated; use call()`);
}
