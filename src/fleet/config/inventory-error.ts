import { MitogenError } from "../../errors.ts";
import { oneLine } from "../../text/harmless.ts";

/** The longest quotation of foreign text in a message. */
const MAX_QUOTED = 100;

/** An inventory cannot be read, or a pattern names what it does not have. */
export class InventoryError extends MitogenError {
  static {
    // A literal: the minifier renames classes.
    Object.defineProperty(InventoryError.prototype, "name", {
      value: "InventoryError",
      writable: true,
      configurable: true,
    });
  }
  /** `ERR_INVENTORY`. */
  override readonly code: string = "ERR_INVENTORY";
}

/** A foreign name or text in quotes: on one line, harmless and short. */
export function quote(text: string): string {
  const short = text.length > MAX_QUOTED ? `${text.slice(0, MAX_QUOTED)}…` : text;
  return `"${oneLine(short)}"`;
}

/** `; did you mean "web1"?` if one of the names is near, or an empty string. */
export function suggestion(name: string, known: Iterable<string>): string {
  const found = nearest(name, known);
  return found === undefined ? "" : `; did you mean ${quote(found)}?`;
}

/** The known name that is a typing error or two away from `name`. */
export function nearest(name: string, known: Iterable<string>): string | undefined {
  const most = name.length <= 3 ? 1 : 2;
  let best: string | undefined;
  let bestDistance = most + 1;
  for (const each of known) {
    if (Math.abs(each.length - name.length) >= bestDistance) continue;
    const distance = editDistance(name.toLowerCase(), each.toLowerCase());
    if (distance < bestDistance) [best, bestDistance] = [each, distance];
  }
  return best;
}

/** How many characters are inserted, removed, replaced or swapped with their neighbour. */
function editDistance(a: string, b: string): number {
  let before: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const isSame = a[i - 1] === b[j - 1];
      let cost = Math.min(
        (last[j] as number) + 1,
        (row[j - 1] as number) + 1,
        (last[j - 1] as number) + (isSame ? 0 : 1),
      );
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1])
        cost = Math.min(cost, (before[j - 2] as number) + 1);
      row.push(cost);
    }
    [before, last] = [last, row];
  }
  return last[b.length] as number;
}
