/** Thrown only inside the encoder. `encodeValue` adds the path and throws an error of `type` instead. */
export class Refusal {
  readonly reason: string;
  readonly type: ErrorConstructor;

  constructor(reason: string, type: ErrorConstructor = TypeError) {
    this.reason = reason;
    this.type = type;
  }
}

/**
 * Returns the plain data that stands for an object or a function. Throws a Refusal if there is none.
 */
export type PlainForm = (value: unknown, refusal: typeof Refusal) => unknown;
