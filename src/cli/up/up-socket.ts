import { lstatSync, mkdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, isAbsolute, join } from "node:path";
import { MitogenError } from "../../errors.ts";
import { failureText } from "../../links/unix-socket.ts";
import { attempt } from "../../wire/values/thrown.ts";

/** The path of the socket of `mitogen up`. One process keeps all connections of a user on this machine. */
function socketPath(): string {
  const { XDG_RUNTIME_DIR: base = "" } = process.env;
  return isAbsolute(base)
    ? join(base, "mitogen/up.sock")
    : join(tmpdir(), `mitogen-${process.geteuid?.() ?? 0}/up.sock`);
}

/**
 * The same, for `mitogen up`: makes its folder. Throws a MitogenError if other users can replace files in the folder.
 */
export function makeUpSocket(): string {
  const path = socketPath();
  const folder = dirname(path);
  let refusal: string | undefined;
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    refusal = refusalOf(folder);
  } catch (error) {
    refusal = failureText(error);
  }
  if (refusal === undefined) return path;
  throw Object.assign(new MitogenError(`Cannot keep connections in ${folder}: ${refusal}`), {
    code: "ERR_UP",
  });
}

/**
 * The same, for commands that only look whether connections are kept. Undefined if `mitogen up` would keep none there:
 * a folder of another user must not stop a command, and must not be trusted.
 */
export function findUpSocket(): string | undefined {
  const path = socketPath();
  return attempt(() => refusalOf(dirname(path)) === undefined) === true ? path : undefined;
}

/** Why other users can replace files in the folder, or a link on the way to it. Undefined if they cannot. */
function refusalOf(folder: string): string | undefined {
  const found = lstatSync(folder);
  const own = process.geteuid?.();
  if (!found.isDirectory()) return "it is not a folder; remove it";
  if (own !== undefined && found.uid !== own)
    return `it belongs to user ${found.uid}; set XDG_RUNTIME_DIR to a folder of yours`;
  return (found.mode & 0o022) !== 0 ? "others may write to it; chmod go-w it" : undefined;
}
