/** JavaScript is sent unchanged to Nodes of this major version and newer. */
const VERBATIM_SINCE = 20;

/** The oldest Node that can be a context. */
const OLDEST = "12.22";

/** The last minor versions of the Nodes for which text is lowered. */
const LAST_MINORS: Readonly<Record<number, number>> = {
  13: 14,
  14: 21,
  15: 14,
  16: 20,
  17: 9,
  18: 20,
  19: 9,
};

/**
 * This many minor versions form a class, named after the first of them. Contexts state their own versions, and
 * whole graphs are compiled and kept for each class. So there must be few classes, whatever the contexts state.
 */
const MINOR_STEP = 4;

/** A version that needs no lowering. */
export const NEWEST: string = `${VERBATIM_SINCE}.0.0`;

/** Targets with the same class get the same text. `target` is a Node version, `"20.11.1"`. */
export function versionClass(target: string): string {
  return `${esbuildVersion(target)}${knowsAttributes(target) ? "+attributes" : ""}`;
}

/** Whether JavaScript must be lowered for the version. */
export function isOld(target: string): boolean {
  return versionOf(target)[0] < VERBATIM_SINCE;
}

/** Returns the version to name to esbuild. It may be a little older than the target. */
export function esbuildVersion(target: string): string {
  const [major, minor] = versionOf(target);
  const last = LAST_MINORS[major];
  if (major >= VERBATIM_SINCE) return `${VERBATIM_SINCE}`;
  if (last === undefined) return OLDEST;
  const known = Math.min(last, minor);
  return `${major}.${known - (known % MINOR_STEP)}`;
}

/** Whether the version parses `import … with { type: "json" }`. */
export function knowsAttributes(target: string): boolean {
  const [major, minor] = versionOf(target);
  return major > 20 || (major === 20 && minor >= 10) || (major === 18 && minor >= 20);
}

function versionOf(target: string): [number, number] {
  const [, major, minor] = /^v?(\d{1,4})\.(\d{1,4})/.exec(target) ?? [];
  return [Number(major ?? 0), Number(minor ?? 0)];
}
