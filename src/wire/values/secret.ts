import { printAsText } from "./inspectable.ts";

const MASK = "[secret]";

/**
 * Text that is never printed, logged or serialised to JSON: every conversion returns a mask. It keeps its
 * type over the wire, where the text itself travels. Only `reveal()` returns the text.
 *
 * ```ts
 * const password = new Secret("hunter2");
 * console.log(password, `${password}`, JSON.stringify({ password })); // all masked
 * ```
 */
export class Secret {
  readonly #text: string;

  constructor(text: string) {
    if (typeof text !== "string") throw new TypeError("Cannot make a Secret: its text must be a string");
    this.#text = text;
  }

  /** The text itself. */
  reveal(): string {
    return this.#text;
  }

  /** The mask `[secret]`. */
  toString(): string {
    return MASK;
  }

  /** The mask `[secret]`. */
  toJSON(): string {
    return MASK;
  }

  /** The mask `[secret]`. */
  valueOf(): string {
    return MASK;
  }

  /** The mask `[secret]`. */
  [Symbol.toPrimitive](): string {
    return MASK;
  }
}

printAsText(Secret);
