/** The greeting: the last marker of the handshake, after which frames follow. docs/bootstrap.md#markers */

/** Increased whenever a parent and a child of different versions would misunderstand each other. */
export const PROTOCOL_VERSION = 1;

/**
 * Follows the nonce in the last line of a child whose broker thread fails. The line may cut a frame: what the thread
 * has queued no longer leaves.
 */
export const MARK_FAILED = ":F ";
/** The exit code of a child without a broker thread. If no line says why, the thread had no memory left to write one. */
export const BROKER_FAILED_CODE = 70;

/** The longest texts of the fields. */
const MAX_CHARACTERS = [9, 46, 20, 20, 10];

/** The claims of a child about itself. Nothing privileged may depend on them. */
export interface Ready {
  readonly protocolVersion: number;
  readonly nodeVersion: string;
  readonly platform: string;
  readonly arch: string;
  readonly pid: number;
}

/** The marker that a child writes when it is ready for frames. */
export function formatReady(nonce: string): string {
  const { versions, platform, arch, pid } = process;
  return `\n${nonce}:ready ${PROTOCOL_VERSION} ${versions.node} ${platform} ${arch} ${pid}\n`;
}

/** Reads the text after `<nonce>:ready `. Undefined if {@link formatReady} cannot have written it. */
export function parseReady(text: string): Ready | undefined {
  const match = /^(\d+) (\d+\.\d+\.\d[\w.+-]*) (\w+) (\w+) (\d+)$/.exec(text);
  const fields = match?.slice(1) as [string, string, string, string, string] | undefined;
  if (!fields?.every((field, i) => field.length <= MAX_CHARACTERS[i]!)) return undefined;
  const [protocolVersion, nodeVersion, platform, arch, pid] = fields;
  return { protocolVersion: Number(protocolVersion), nodeVersion, platform, arch, pid: Number(pid) };
}
