/** JavaScript is sent as it is to every Node that is not older than this major version. */
const VERBATIM_SINCE = 20;

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

/** The version as esbuild is told it. */
export function esbuildVersion(target: string): string {
  const [major, minor] = versionOf(target);
  return major >= VERBATIM_SINCE ? `${VERBATIM_SINCE}` : `${major}.${minor}`;
}

/** Whether it parses `import … with { type: "json" }`. */
export function knowsAttributes(target: string): boolean {
  const [major, minor] = versionOf(target);
  return major > 20 || (major === 20 && minor >= 10) || (major === 18 && minor >= 20);
}

function versionOf(target: string): [number, number] {
  const [major = 0, minor = 0] = target.replace(/^v/, "").split(".").map(Number);
  return [major, minor];
}
