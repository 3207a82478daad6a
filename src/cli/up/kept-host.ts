import type { Host } from "../../fleet/config/host.ts";
import { travelling } from "../../fleet/travelling.ts";

/** A host in the form in which it is sent to the process of `mitogen up`. */
export interface KeptHost extends Host {
  /** The same for hosts that are reached in the same way. */
  readonly key: string;
}

/**
 * How a host is reached, as text that two programs can compare. Passwords are not in it: whoever can use the socket may use the
 * connections, whatever they were made with. Any other Secret is `[secret]` in JSON.
 */
export function hostKey({ steps }: Pick<Host, "steps">): string {
  return JSON.stringify(steps, (name, value: unknown) => {
    if (name === "password") return undefined;
    if (typeof value === "function") return "function";
    return isPlain(value) ? Object.fromEntries(Object.entries(value).sort(byName)) : value;
  });
}

/**
 * Prepares a host to be sent to the process of `mitogen up`: asks for its passwords in this process, which has a
 * terminal.
 */
export async function keptHost(host: Host): Promise<KeptHost> {
  return { ...(await travelling(host)), key: hostKey(host) };
}

function isPlain(value: unknown): value is object {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function byName([a]: [string, unknown], [b]: [string, unknown]): number {
  return a < b ? -1 : 1;
}
