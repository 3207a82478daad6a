/** The greeting: the last marker of the handshake, after which frames follow. docs/bootstrap.md#markers */

/** Increased whenever a parent and a child of different versions would misunderstand each other. */
export const PROTOCOL_VERSION = 1;

/**
 * Follows the nonce in the last line of a child whose broker thread fails. The line may begin within a frame, because
 * the rest of that frame no longer leaves.
 */
export const MARK_FAILED = ":F ";
/** The exit code of a child whose broker thread failed. If no line says why, the thread had no memory left for one. */
export const BROKER_FAILED_CODE = 70;

/** The most characters of each field. */
const MAX_CHARACTERS = [9, 46, 20, 20, 10];

/** The claims of a child about itself. Nothing privileged may depend on them. */
export interface Ready {
  readonly protocolVersion: number;
  readonly nodeVersion: string;
  readonly platform: string;
  readonly arch: string;
  readonly pid: number;
}

/** Returns the line that a child writes when it is ready for frames. */
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
