import type { Context } from "../../core/context.ts";
import { callback } from "../../options/option-types.ts";
import { takeOption } from "../../options/options.ts";
import { headOf } from "../../wire/values/thrown.ts";

const promises = new WeakMap<Context, Promise<void>>();

/** See `Context.onDisconnect`. */
export function onDisconnect(context: Context, fn: (reason: string) => unknown): () => void {
  takeOption("watch a context", "the first argument", fn, callback);
  let isWanted = true;
  // Never at once, because the router is still removing contexts.
  const tell = async (reason: string): Promise<void> => {
    await undefined;
    try {
      if (isWanted) await fn(reason);
    } catch (error) {
      context.router.log.error(`${context.name}: a function given to onDisconnect failed: ${headOf(error)}`);
    }
  };
  const stop = whenGone(context, (reason) => void tell(reason));
  return () => {
    isWanted = false;
    stop();
  };
}

/** See `Context.disconnected`. */
export function disconnected(context: Context): Promise<void> {
  let promise = promises.get(context);
  if (promise === undefined) {
    promise = new Promise((resolve) => whenGone(context, () => resolve()));
    promises.set(context, promise);
  }
  return promise;
}

function whenGone(context: Context, fn: (reason: string) => void): () => void {
  if (context.goneReason !== undefined) {
    fn(context.goneReason);
    return () => undefined;
  }
  context.goneListeners ??= new Set();
  const { goneListeners } = context;
  goneListeners.add(fn);
  return () => goneListeners.delete(fn);
}
