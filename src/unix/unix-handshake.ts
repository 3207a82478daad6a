import { PROTOCOL_VERSION } from "../bootstrap/ready.ts";

/** The longest line: docs/protocol.md#unix-sockets. */
export const MAX_HELLO_BYTES = 64;

/** The first line of a program that connects to a listener. */
export function formatHello(pid: number): string {
  return `mitogen:unix ${PROTOCOL_VERSION} ${pid}\n`;
}

/** Reads that line in the listener. Undefined for any other text. */
export function parseHello(line: string): { protocolVersion: number; pid: number } | undefined {
  const found = /^mitogen:unix (\d{1,9}) (\d{1,10})$/.exec(line);
  return found === null ? undefined : { protocolVersion: Number(found[1]), pid: Number(found[2]) };
}

/** Returns why this program cannot talk to a program of that version. Undefined if it can. */
export function versionRefusal(protocolVersion: number): string | undefined {
  return protocolVersion === PROTOCOL_VERSION
    ? undefined
    : `it speaks version ${protocolVersion} of the protocol, this program speaks version ${PROTOCOL_VERSION}`;
}
