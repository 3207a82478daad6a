import type { StepMethod } from "./host.ts";
import { InventoryError, quote } from "./inventory-error.ts";
import type { Term } from "./pattern.ts";

/** The most hosts of `local:N`. */
const MAX_LOCAL = 1000;

/** A host that a source has found: how to reach it. */
export interface FoundHost {
  readonly name: string;
  readonly method: StepMethod;
  readonly options: Readonly<Record<string, unknown>>;
}

/** Runs the source of a term. `defaults` has paths of tools. */
export async function findHosts(
  term: Term,
  _defaults: Readonly<Record<string, Readonly<Record<string, unknown>>>>,
  _signal: AbortSignal | undefined,
): Promise<FoundHost[]> {
  const about = term.text.slice((term.source ?? "").length + 1);
  if (term.source === "local") return localHosts(term.text, about);
  throw new InventoryError(`Cannot select ${quote(term.text)}: this version cannot ask ${term.source}`);
}

/** `local:3` is three contexts on this machine. */
function localHosts(text: string, count: string): FoundHost[] {
  const number = /^\d{1,4}$/.test(count) ? Number(count) : 0;
  if (number < 1 || number > MAX_LOCAL)
    throw new InventoryError(
      `Cannot select ${quote(text)}: write local: and a number from 1 to ${MAX_LOCAL}, such as local:3`,
    );
  return Array.from({ length: number }, (_, i) => ({ name: `local${i + 1}`, method: "local", options: {} }));
}
