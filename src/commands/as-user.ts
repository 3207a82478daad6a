import type { ConnectingRouter } from "../connection/connecting-router.ts";
import type { Context } from "../core/context.ts";
import { MitogenError } from "../errors.ts";
import { USER_METHOD } from "./far-side.ts";

/** The contexts of other users, by the context that started them. They last as long as that one. */
const contexts: WeakMap<Context, Map<string, Promise<Context>>> = new WeakMap();

/**
 * The context in which the commands of another user run, because only that user may end them. The first
 * command makes it with sudo, or with su if root has no sudo. Later commands use it again.
 */
export async function contextAs(context: Context, user: string): Promise<Context> {
  const known = contexts.get(context) ?? new Map<string, Promise<Context>>();
  contexts.set(context, known);
  const kept = known.get(user);
  if (kept !== undefined) {
    const found = await kept;
    if (found.goneReason === undefined) return found;
    if (known.get(user) !== kept) return await contextAs(context, user); // another command has replaced it
  }
  const made = connectAs(context, user);
  known.set(user, made);
  try {
    return await made;
  } catch (error) {
    if (known.get(user) === made) known.delete(user);
    throw error;
  }
}

async function connectAs(context: Context, username: string): Promise<Context> {
  const method = await context.call(USER_METHOD, username);
  if (method === "none") return context;
  const router = context.router as unknown as Partial<ConnectingRouter>;
  if (router.sudo === undefined || router.su === undefined) {
    throw new MitogenError("this program has no router that starts contexts");
  }
  return method === "su"
    ? await router.su({ via: context, username })
    : await router.sudo({ via: context, username });
}
