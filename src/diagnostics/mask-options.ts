import { Secret } from "../wire/values/secret.ts";

const MASK = "[secret]";
/** The names of options that hold secrets, even as plain text. Connection methods of programs have such options. */
const SECRET_NAME = /pass(word|phrase)|secret|token|credential|^answers$/i;

/** Returns the options of a connect in a form that may be shown. Leaves out `via`, shown elsewhere, and `signal`. */
export function maskOptions(options: object): Record<string, unknown> {
  const shown: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(options)) {
    if (key === "via" || key === "signal" || value === undefined) continue;
    shown[key] = SECRET_NAME.test(key) || value instanceof Secret ? MASK : showValue(value);
  }
  return shown;
}

function showValue(value: unknown): unknown {
  if (typeof value === "function") return "[function]";
  if (Array.isArray(value)) return value.map(showValue);
  if (value instanceof Secret) return MASK;
  return typeof value === "object" && value !== null ? maskOptions(value) : value;
}
