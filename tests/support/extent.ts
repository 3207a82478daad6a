/**
 * How much a run does. CI does everything, once; for what takes long and does not depend on the program's
 * Node, a shorter form is enough elsewhere, and where CI repeats tests on other Nodes.
 */
export const isCi: boolean = process.env["CI"] === "true";

/** CI's run of the same tests with another Node as the program's. */
export const isRepeated: boolean = process.env["MITOGEN_REPEATED"] === "true";

/** Whether everything is done. */
export const isFull: boolean = isCi && !isRepeated;

/** Whether the files that run were named: `npm test -- tests/e2e/tree`. */
const isNamed: boolean = process.env["MITOGEN_NAMED"] === "true";
/** Whether a run is to be over soon, and leaves out what takes long. */
export const isQuick: boolean = !isCi && !isNamed;

/** For the `skip` option of what takes long and says what others say too, or something like it. */
export const takesLong: string | false = isQuick
  ? "Takes long: runs with CI=true, or if its file is named"
  : false;

/** All of them, or, where not everything is done, every `nth`, beginning with the first. */
export function sampleOf<Case>(nth: number, all: readonly Case[]): readonly Case[] {
  return isQuick ? all.filter((_, index) => index % nth === 0) : all;
}

/**
 * The targets' Nodes, or other kinds of targets, that a test goes through. All of them have been met by CI's
 * one full run; under another Node of the program the first and the last are enough.
 */
export function targetsOf<Target>(all: readonly Target[]): readonly Target[] {
  return isRepeated ? all.filter((_, index) => index === 0 || index === all.length - 1) : all;
}
