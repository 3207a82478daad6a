import { Secret } from "../../wire/values/secret.ts";
import type { Step } from "../config/host.ts";

/** Tells apart what JSON does not show: functions, secrets and other objects. */
export class StepKeys {
  readonly #ids: Map<unknown, number> = new Map();

  /** The same text for steps that lead to the same context. */
  keyOf(steps: readonly Step[]): string {
    return JSON.stringify(this.shown(steps));
  }

  /** Before JSON sees the value, because a Secret shows nothing of itself there. */
  private shown(value: unknown): unknown {
    if (value instanceof Secret) return { "": this.idOf(value.reveal()) };
    if (typeof value === "function" || typeof value === "bigint") return { "": this.idOf(value) };
    if (Array.isArray(value)) return value.map((each) => this.shown(each));
    if (typeof value !== "object" || value === null) return value;
    const entries = Object.entries(value).map(([name, each]): [string, unknown] => [name, this.shown(each)]);
    return Object.fromEntries(entries.sort(byName));
  }

  private idOf(value: unknown): number {
    const known = this.#ids.get(value) ?? this.#ids.size;
    this.#ids.set(value, known);
    return known;
  }
}

function byName([a]: [string, unknown], [b]: [string, unknown]): number {
  return a < b ? -1 : 1;
}
