/** JavaScript is sent as it is to every Node that is not older than this major version. */
const VERBATIM_SINCE = 20;

/** The oldest that can be a context. */
const OLDEST = "12.22";

/** The last minor versions of those that can, and for which text is lowered. */
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
 * Minor versions are taken together, as the first of them. A context says itself which version it is, and for each class whole graphs are compiled and
 * kept: there must be few, whatever it says.
 */
const MINOR_STEP = 4;

/** A version for which nothing is lowered. */
export const NEWEST: string = `${VERBATIM_SINCE}.0.0`;

/** Targets with the same class get the same text. `target` is a Node version, `"20.11.1"`. */
export function versionClass(target: string): string {
  return `${esbuildVersion(target)}${knowsAttributes(target) ? "+attributes" : ""}`;
}

/** Whether JavaScript has to be lowered for it. */
export function isOld(target: string): boolean {
  return versionOf(target)[0] < VERBATIM_SINCE;
}

/** The version as esbuild is told it, or one a little older. */
export function esbuildVersion(target: string): string {
  const [major, minor] = versionOf(target);
  const last = LAST_MINORS[major];
  if (major >= VERBATIM_SINCE) return `${VERBATIM_SINCE}`;
  if (last === undefined) return OLDEST;
  const known = Math.min(last, minor);
  return `${major}.${known - (known % MINOR_STEP)}`;
}

/** Whether it parses `import … with { type: "json" }`. */
export function knowsAttributes(target: string): boolean {
  const [major, minor] = versionOf(target);
  return major > 20 || (major === 20 && minor >= 10) || (major === 18 && minor >= 20);
}

function versionOf(target: string): [number, number] {
  const [, major, minor] = /^v?(\d{1,4})\.(\d{1,4})/.exec(target) ?? [];
  return [Number(major ?? 0), Number(minor ?? 0)];
}
