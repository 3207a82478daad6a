import { oneLine } from "../../text/harmless.ts";
import type { Step } from "./host.ts";
import { InventoryError, quote } from "./inventory-error.ts";

/** The longest name of a host or a group. A host's name also becomes a context's. */
const MAX_NAME = 253;
/** The most hosts that an inventory, a group or a selection may hold. */
export const MAX_HOSTS = 100_000;

/** Characters with a meaning in patterns or shells. They cannot be in a name. */
const SPECIAL = /[\s,*?[\](){}|\\"'`$;&!<>]/;

/** Throws if text cannot be the name of a host or a group. `what` begins the message: `Cannot read …`. */
export function checkName(what: string, kind: "host" | "group", name: unknown): string {
  const problem = problemOf(name);
  if (problem === undefined) return name as string;
  const shown = typeof name === "string" ? quote(name) : `a value of type ${typeof name}`;
  throw new InventoryError(`${what}: ${shown} cannot be the name of a ${kind}: ${problem}`);
}

function problemOf(name: unknown): string | undefined {
  if (typeof name !== "string") return "it is not a string";
  if (name === "") return "it is empty";
  if (name.length > MAX_NAME) return `it has more than ${MAX_NAME} characters`;
  if (/^[-@!&#~]/.test(name)) return `it begins with "${name[0]}"`;
  const isBracketed = name.includes(":") && BRACKETED.test(name);
  if (oneLine(name) !== name || SPECIAL.test(isBracketed ? name.replace(/[[\]]/g, "") : name))
    return "it has a character that patterns, shells or terminals act on";
  return undefined;
}

/** An IPv6 address in brackets, as in `root@[::1]:2222`. */
const BRACKETED = /^(?:[^@[\]]+@)?\[[\w:.%]+\](?::\d+)?$/;

/** Whether a word can be an address for ssh: `host`, `user@host`, `host:22`, `user@[::1]:22`. */
export function isBareName(word: string): boolean {
  return problemOf(word) === undefined;
}

/** The parts of an address. A name with two or more colons and no brackets is an IPv6 address. */
export function parseAddress(name: string): { hostname: string; username?: string; port?: number } {
  const at = name.lastIndexOf("@");
  const username = at > 0 ? name.slice(0, at) : undefined;
  const place = name.slice(at + 1);
  const bracketed = /^\[([^\]]+)\](?::(\d+))?$/.exec(place);
  const plain = /^([^:]+):(\d+)$/.exec(place);
  const [, hostname = place, port] = bracketed ?? plain ?? [];
  return {
    hostname,
    ...(username === undefined ? {} : { username }),
    ...(port === undefined ? {} : { port: Number(port) }),
  };
}

/** The step that reaches a host named only by its address. */
export function bareStep(name: string): Step {
  return { ssh: parseAddress(name) };
}
