import { Secret } from "../../wire/values/secret.ts";
import type { Step } from "../config/host.ts";

/** Tells apart what JSON does not show: functions, secrets and other objects. */
export class StepKeys {
  readonly #ids: Map<unknown, number> = new Map();

  /** The same text for steps that lead to the same context. */
  keyOf(steps: readonly Step[]): string {
    return JSON.stringify(steps, (_name, value: unknown) => {
      if (value instanceof Secret) return { "": this.idOf(value.reveal()) };
      if (typeof value === "function" || typeof value === "bigint") return { "": this.idOf(value) };
      return isPlain(value) ? Object.fromEntries(Object.entries(value).sort(byName)) : value;
    });
  }

  private idOf(value: unknown): number {
    const known = this.#ids.get(value) ?? this.#ids.size;
    this.#ids.set(value, known);
    return known;
  }
}

function isPlain(value: unknown): value is object {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function byName([a]: [string, unknown], [b]: [string, unknown]): number {
  return a < b ? -1 : 1;
}
