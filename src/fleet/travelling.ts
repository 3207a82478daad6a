import type { Host, Step } from "./config/host.ts";

/** Functions that return a password, and what they returned: each is called once. */
const passwords = new WeakMap<object, Promise<unknown>>();

/**
 * The host as it can be sent to a hop, which has none of this program's functions: one that returns a password is called
 * now. Rejects with its error.
 */
export async function travelling(host: Host): Promise<Host> {
  const steps = await Promise.all(host.steps.map(travellingStep));
  return { name: host.name, groups: [], vars: {}, steps };
}

async function travellingStep(step: Step): Promise<Step> {
  const [[method, options]] = Object.entries(step) as [[string, Record<string, unknown>]];
  const { onProgress: _, ...rest } = options;
  const { password } = rest;
  if (typeof password === "function") rest["password"] = await passwordOf(password as () => unknown);
  return { [method]: rest } as unknown as Step;
}

function passwordOf(ask: () => unknown): Promise<unknown> {
  let known = passwords.get(ask);
  if (known === undefined) {
    known = (async () => await ask())();
    passwords.set(ask, known);
  }
  return known;
}
