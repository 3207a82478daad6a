/** Thrown only inside the encoder. The handler adds the path and makes an Error of `type`. */
export class Refusal {
  readonly reason: string;
  readonly type: ErrorConstructor;

  constructor(reason: string, type: ErrorConstructor = TypeError) {
    this.reason = reason;
    this.type = type;
  }
}

/**
 * Returns the plain data that replaces an object or a function that is no data itself. Throws a Refusal if
 * there is none.
 */
export type PlainForm = (value: unknown, refusal: typeof Refusal) => unknown;
