/** The greeting: the last marker of the handshake, after which frames follow. docs/bootstrap.md#markers */

/** Raised whenever a parent and a child of different versions would misunderstand each other. */
export const PROTOCOL_VERSION = 1;

/** What a child says of itself. A claim: nothing privileged may depend on it. */
export interface Ready {
  readonly protocolVersion: number;
  readonly nodeVersion: string;
  readonly platform: string;
  readonly arch: string;
  readonly pid: number;
}

/** The marker a child writes once it can be sent frames. */
export function formatReady(nonce: string): string {
  const { versions, platform, arch, pid } = process;
  return `\n${nonce}:ready ${PROTOCOL_VERSION} ${versions.node} ${platform} ${arch} ${pid}\n`;
}

/** Reads what follows `<nonce>:ready `; undefined when it is not what {@link formatReady} writes. */
export function parseReady(text: string): Ready | undefined {
  const match = /^(\d{1,9}) (\d{1,4}\.\d{1,4}\.\d{1,4}[\w.+-]{0,40}) (\w{1,20}) (\w{1,20}) (\d{1,10})$/.exec(
    text,
  );
  if (match === null) return undefined;
  const [, protocolVersion, nodeVersion, platform, arch, pid] = match as unknown as [
    string,
    string,
    string,
    string,
    string,
    string,
  ];
  return { protocolVersion: Number(protocolVersion), nodeVersion, platform, arch, pid: Number(pid) };
}
