import { basename } from "node:path";
import { isInside } from "./serve-policy.ts";

const MAX_PATH_CHARS = 1_000;
/** The names of files that hold keys. The content of files is checked as well. */
const KEY_NAME = /\.(?:pem|key|p8|p12|pfx|jks|keystore|kdbx|ppk|env)$|^id_[a-z\d_]+$/i;
const PRIVATE_KEY = /^-----BEGIN [A-Z ]*PRIVATE KEY|^PuTTY-User-Key-File-/m;
/** A private key is at the beginning of its file, perhaps after its certificates. */
const MAX_KEY_OFFSET = 64 * 1024;
const HOLDS_KEY = "it holds a key or other secrets";

/**
 * Returns why a path may not even be looked up beside a module of the package at `root`. Undefined if it may.
 * `file` is the resolved path, with links not followed. The answer to a refused request must not reveal whether a
 * file exists.
 */
export function pathRefusal(path: string, file: string, root: string): string | undefined {
  if (path.length === 0 || path.length > MAX_PATH_CHARS) return "the path is empty or too long";
  // Control characters, backslashes, outer spaces and escaped dots and slashes serve only to hide another path.
  if (/^\s|\s$|[\0-\x1f\x7f\\]|%(?:2e|2f|5c|00)/i.test(path))
    return "the path has characters that are not allowed";
  if (/^\/|^[a-z][a-z\d+.-]*:/i.test(path)) return "the path must be relative to the module";
  return fileRefusal(file, root);
}

/** Returns why a file may not be read. Undefined if it may. Both paths are real: links have been followed. */
export function fileRefusal(file: string, root: string): string | undefined {
  if (!isInside(file, root)) return "it is outside the package of the module, or hidden";
  return KEY_NAME.test(basename(file)) ? HOLDS_KEY : undefined;
}

/** Returns why the content of a file forbids sending it. Undefined if it does not. */
export function contentRefusal(bytes: Buffer): string | undefined {
  return PRIVATE_KEY.test(bytes.toString("latin1", 0, MAX_KEY_OFFSET)) ? HOLDS_KEY : undefined;
}
