import { PROTOCOL_VERSION, type Ready } from "../../bootstrap/ready.ts";
import { StreamError } from "../../errors.ts";
import type { Failure } from "./new-connect-error.ts";

/** The oldest node that can be a child. */
const OLDEST: readonly [number, number] = [12, 22];

/** Explains why a child that greets so cannot be used. Undefined if it can. */
export function wrongVersion({ nodeVersion, protocolVersion }: Ready): Failure | undefined {
  const [major, minor] = nodeVersion.split(".").map(Number) as [number, number];
  if (major < OLDEST[0] || (major === OLDEST[0] && minor < OLDEST[1])) return nodeTooOld(nodeVersion);
  if (protocolVersion === PROTOCOL_VERSION) return undefined;
  const message = `the child speaks protocol ${protocolVersion}, this program ${PROTOCOL_VERSION}`;
  return { type: StreamError, message, hint: "" };
}

export function nodeTooOld(version: string): Failure {
  // Node never had these major versions; Bun reports them.
  if (/^[1-3]\./.test(version)) {
    return {
      type: StreamError,
      code: "ERR_NODE_VERSION",
      message: `the target started Bun ${version}, but contexts run only on Node`,
      hint: "install node there, or pass the path of one as nodePath",
    };
  }
  const message = `node ${version} on the target is too old: the oldest that works is ${OLDEST.join(".")}`;
  return {
    type: StreamError,
    code: "ERR_NODE_VERSION",
    message,
    hint: 'pass provision: "cache" to have a newer one brought there, or nodePath for one',
  };
}
