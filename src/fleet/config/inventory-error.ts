import { MitogenError } from "../../errors.ts";
import { oneLine } from "../../text/harmless.ts";

/** The longest quotation of foreign text in a message. */
const MAX_QUOTED = 100;

/** An inventory cannot be read, or a pattern names something that the inventory does not have. */
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
