import type { Host, Step } from "./config/host.ts";

/** Functions that return a password, and what they returned: each is called once, and again after an error. */
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
  const { password, answers } = rest;
  if (password !== undefined) rest["password"] = await passwordOf(password);
  if (answers !== undefined) {
    const each = Object.entries(answers as object).map(async ([question, answer]) => [
      question,
      await passwordOf(answer),
    ]);
    rest["answers"] = Object.fromEntries(await Promise.all(each));
  }
  return { [method]: rest } as unknown as Step;
}

async function passwordOf(given: unknown): Promise<unknown> {
  if (typeof given !== "function") return given;
  let known = passwords.get(given);
  if (known === undefined) {
    known = (async () => await given())();
    passwords.set(given, known);
    known.catch(() => passwords.delete(given));
  }
  return await known;
}
