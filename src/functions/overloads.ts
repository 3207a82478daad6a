/** Any function, whatever its parameters. */
export type AnyFunction = (...args: never[]) => unknown;

/**
 * The signatures of a function as [arguments, result]. If there are more than six, the last six; if there are
 * fewer, the first is repeated. Type parameters become `unknown`.
 */
type Signatures<F> = F extends {
  (...args: infer A1): infer R1;
  (...args: infer A2): infer R2;
  (...args: infer A3): infer R3;
  (...args: infer A4): infer R4;
  (...args: infer A5): infer R5;
  (...args: infer A6): infer R6;
}
  ? [[A1, R1], [A2, R2], [A3, R3], [A4, R4], [A5, R5], [A6, R6]]
  : // biome-ignore lint/suspicious/noExplicitAny: what is called on `any` gives `any`
    any;

/** The arguments with which a function may be called, by any of its signatures. */
export type ArgumentsOf<F extends AnyFunction> = Signatures<F>[number][0];

/** The result for the arguments `A`: as in a direct call, that of the first signature that takes them. */
export type ResultOf<F extends AnyFunction, A> =
  Signatures<F> extends [infer First, ...unknown[], infer Last]
    ? [First, Last] extends [Last, First]
      ? Signatures<F>[5][1]
      : FirstResult<Signatures<F>, A>
    : never;

type FirstResult<S, A> = S extends [[infer Taken, infer Result], ...infer Others]
  ? A extends Taken
    ? Result
    : FirstResult<Others, A>
  : unknown;
