/**
 * Lets objects of core travel although wire/ does not import core/: they describe themselves, and a reviver
 * rebuilds them.
 */

/** A Context or a Sender on the wire. Ids and handles are u32; a handle is never 0. */
export type WireReference = (
  | { readonly kind: "context"; readonly contextId: number; readonly name: string }
  | { readonly kind: "sender"; readonly contextId: number; readonly handle: number }
) & {
  /** The router that the ids belong to. */
  readonly router?: object;
};

/** Objects with this method travel as the reference it returns. */
export const wireForm: unique symbol = Symbol.for("mitogen.wireForm");

/** Turns references into objects of the receiving side. Its arguments have been validated. */
export interface Reviver {
  context(contextId: number, name: string): unknown;
  sender(contextId: number, handle: number): unknown;
}

/** Names are shorter than this number of UTF-16 units. */
export const MAX_CONTEXT_NAME = 100;

/**
 * Makes the objects of a class travel. Used for classes, whose bodies cannot have a method of this name:
 * isolatedDeclarations offers no way to write its type.
 */
export function travelsAs<T extends object>(
  type: { prototype: T },
  form: (object: T) => WireReference,
): void {
  Object.defineProperty(type.prototype, wireForm, {
    value(this: T) {
      return form(this);
    },
  });
}

/** Throws a TypeError unless `id` is a number. `cure` names what the program should have used. */
export function checkNumber(what: string, id: unknown, cure: string): void {
  if (typeof id !== "number") throw new TypeError(`Cannot make ${what}, got ${id}; use ${cure}`);
}
