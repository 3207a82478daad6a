import type { Sender } from "../../core/sender.ts";
import { printPath } from "../../functions/print-function.ts";
import type { RunningCall } from "./current-call.ts";
import type { FunctionLoader } from "./dispatcher.ts";
import { type Builtin, makeInterruptible } from "./interruptible.ts";

/**
 * Runs a generator for a reader in another context. The reader gets the values as they come, and slows the
 * generator down to its own speed. If the reader leaves, or the call is given up, the generator is ended
 * where it stands, and its `finally` runs. If it waits for something that src/calls/target/interruptible.ts
 * knows, that is closed first.
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
      // The stream ends all the same.
    }
  };
  const onAbort = (): void => {
    // A waiting generator is marked, and returns as soon as its wait ends.
    void stop();
    waits.end();
  };
  signal.addEventListener("abort", onAbort);
  try {
    // The call may have been given up before the generator was there.
    if (signal.aborted) return await stop();
    for (;;) {
      const { value, done } = await iterator.next();
      if (done === true || signal.aborted) return;
      await sender.send(await value);
    }
  } catch (error) {
    // The value may not be able to travel, or the reader may be gone.
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
  throw new TypeError(`Cannot stream ${name}: its result cannot be iterated; use call()`);
}
