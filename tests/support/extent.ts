/**
 * How much a run does. CI does everything once. Elsewhere, and where CI repeats tests on other Nodes, tests that
 * take long and do not depend on the program's Node do less.
 */
export const isCi: boolean = process.env["CI"] === "true";

/** CI's run of the same tests with another Node as the program's. */
export const isRepeated: boolean = process.env["MITOGEN_REPEATED"] === "true";

/** Whether this run does everything. */
export const isFull: boolean = isCi && !isRepeated;

/** Whether the files that run were named: `npm test -- tests/e2e/tree`. */
const isNamed: boolean = process.env["MITOGEN_NAMED"] === "true";
/** Whether this run should end soon, and leaves out tests that take long. */
export const isQuick: boolean = !isCi && !isNamed;

/** For the `skip` option of a test that takes long and shows little that other tests do not show. */
export const takesLong: string | false = isQuick
  ? "Takes long: runs with CI=true, or if its file is named"
  : false;

/** All cases, or, in a quick run, every `nth`, beginning with the first. */
export function sampleOf<Case>(nth: number, all: readonly Case[]): readonly Case[] {
  return isQuick ? all.filter((_, index) => index % nth === 0) : all;
}

/**
 * The targets' Nodes, or other kinds of targets, that a test goes through. CI's one full run takes all of them.
 * With another Node for the program, the first and the last are enough.
 */
export function targetsOf<Target>(all: readonly Target[]): readonly Target[] {
  return isRepeated ? all.filter((_, index) => index === 0 || index === all.length - 1) : all;
}
