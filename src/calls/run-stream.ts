import type { Sender } from "../core/sender.ts";
import type { CurrentCall } from "./current-call.ts";
import type { FunctionLoader } from "./dispatcher.ts";

/**
 * Runs a generator for a reader elsewhere, who gets its values as they come and holds it back as it reads. Left by its reader, or given
 * up, it is ended where it stands: its `finally` runs.
 */
export async function runStream(
  loader: FunctionLoader,
  { signal }: CurrentCall,
  [module, path, args, sender]: [string, string[], unknown[], Sender],
): Promise<void> {
  const { fn, receiver } = await loader.load({ module, path });
  const iterator = iteratorOf(await fn.apply(receiver, args), path);
  // Behind a value it is waiting for, unless the function looks at the signal itself: a generator cannot be interrupted.
  const stop = async (): Promise<void> => {
    try {
      await iterator.return?.();
    } catch {
      // It ends all the same.
    }
  };
  signal.addEventListener("abort", stop);
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
    signal.removeEventListener("abort", stop);
  }
}

function iteratorOf(value: unknown, path: readonly string[]): Iterator<unknown> | AsyncIterator<unknown> {
  const { [Symbol.asyncIterator]: makeAsync, [Symbol.iterator]: makeSync } = Object(value);
  const make = makeAsync ?? makeSync;
  if (typeof make === "function" && typeof value !== "string") return make.call(value);
  const name = path.join(".") || "default";
  throw new TypeError(`Cannot stream ${name}: it returned nothing that can be iterated; use call()`);
}
