import type { Call } from "./command.ts";
import { UsageError } from "./usage-error.ts";

const UNITS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 };
/** The longest delay of a timer of Node. */
const MAX_MS = 2 ** 31 - 1;

/** A time such as `500ms`, `60s`, `5m` or `1h`, in milliseconds; a bare number means seconds. */
export function duration(text: string, option: string): number {
  const [, number = "", unit = "s"] = /^(\d{1,9}(?:\.\d{1,3})?)(ms|s|m|h)?$/.exec(text) ?? [];
  const ms = Math.round(Number(number) * (UNITS[unit] as number));
  if (number === "" || ms < 1 || ms > MAX_MS) {
    throw new UsageError(`${option} must be a time such as 500ms, 60s or 5m, got "${text}"`);
  }
  return ms;
}

/** A whole number of at least `least`. */
export function count(text: string, option: string, least = 1): number {
  const number = Number(text);
  if (!/^\d{1,9}$/.test(text) || number < least) {
    throw new UsageError(`${option} must be a whole number of at least ${least}, got "${text}"`);
  }
  return number;
}

/** A list such as `1,10%`: numbers of hosts, or shares of all. */
export function shares(text: string, option: string): string[] {
  const parts = text.split(",").map((part) => part.trim());
  for (const part of parts) share(part, option);
  return parts;
}

/** A number of hosts, or a share of all such as `10%`. */
export function share(text: string, option: string): string {
  const [, number, percent] = /^(\d{1,9})(%)?$/.exec(text) ?? [];
  if (number === undefined || (percent !== undefined && Number(number) > 100)) {
    throw new UsageError(`${option} must be a number of hosts or a share such as 10%, got "${text}"`);
  }
  return text;
}

/** Parses the value of an option; undefined if the option was not given. */
export function readOption<T>(
  { values }: Pick<Call, "values">,
  name: string,
  take: (text: string, option: string) => T,
): T | undefined {
  const value = values[name];
  return typeof value === "string" ? take(value, `--${name}`) : undefined;
}
