/**
 * How much a run does. CI does everything, once; for what takes long and does not depend on the program's
 * Node, a shorter form is enough elsewhere, and where CI repeats tests on other Nodes.
 */
export const isCi: boolean = process.env["CI"] === "true";

/** CI's run of the same tests with another Node as the program's. */
export const isRepeated: boolean = process.env["MITOGEN_REPEATED"] === "true";

/** Whether everything is done. */
export const isFull: boolean = isCi && !isRepeated;

/** For the `skip` option of what only CI does, because it takes long. */
export const onlyCi: string | false = isCi ? false : "Takes long: runs with CI=true";

/**
 * The targets' Nodes, or other kinds of targets, that a test goes through. All of them have been met by CI's
 * one full run; under another Node of the program the first and the last are enough.
 */
export function targetsOf<Target>(all: readonly Target[]): readonly Target[] {
  return isRepeated ? all.filter((_, index) => index === 0 || index === all.length - 1) : all;
}
