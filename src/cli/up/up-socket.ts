import { mkdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { isAbsolute, join } from "node:path";

/**
 * The path of the socket of `mitogen up`. One process keeps all connections of a user on this machine. The folder is made; whether it
 * can be trusted is checked by `listen()` and `connect()`, which refuse a folder or socket of somebody else.
 */
export function upSocket(): string {
  const { XDG_RUNTIME_DIR: base = "" } = process.env;
  const folder = isAbsolute(base)
    ? join(base, "mitogen")
    : join(tmpdir(), `mitogen-${process.geteuid?.() ?? 0}`);
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  return join(folder, "up.sock");
}
