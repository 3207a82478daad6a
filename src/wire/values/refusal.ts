/** Thrown inside the encoder only. Who catches it adds the path and makes an Error of `type`. */
export class Refusal {
  readonly reason: string;
  readonly type: ErrorConstructor;

  constructor(reason: string, type: ErrorConstructor = TypeError) {
    this.reason = reason;
    this.type = type;
  }
}

/** Gives the plain data that stands for an object, or a function, which is no data itself. Throws a Refusal where there is none. */
export type PlainForm = (value: unknown, refusal: typeof Refusal) => unknown;
