import { readdirSync, readFileSync, statSync } from "node:fs";
import { homedir, userInfo } from "node:os";
import { isAbsolute, join } from "node:path";
import { messageOf } from "../../wire/values/thrown.ts";
import { InventoryError, quote } from "../config/inventory-error.ts";
import { isBareName } from "../config/names.ts";
import { globMatcher, isGlob } from "../config/pattern.ts";

const SYSTEM_CONFIG = "/etc/ssh/ssh_config";
/** How deep ssh itself follows `Include`. */
const MAX_DEPTH = 16;
const MAX_FILES = 1000;
const MAX_FILE = 4 * 1024 * 1024;

/**
 * The names of the `Host` lines of ssh_config(5) that stand for one host each, in their order: of the user's file and the
 * system's, or of one file. Only the names are read. What they mean is left to ssh, also which of the conditions of
 * `Match` hold.
 */
export function sshHosts(file?: string): string[] {
  const reader = new Reader();
  const home = join(homeFolder(), ".ssh");
  if (file !== undefined) {
    if (file.toLowerCase() !== "none" && file !== "/dev/null") reader.read(untilde(file), home, 0, true);
  } else {
    reader.read(join(home, "config"), home, 0);
    reader.read(SYSTEM_CONFIG, "/etc/ssh", 0);
  }
  return [...reader.names];
}

/** As ssh does, of the user's account, whatever HOME is. */
function homeFolder(): string {
  try {
    return userInfo().homedir;
  } catch {
    return homedir();
  }
}

class Reader {
  readonly names = new Set<string>();
  #files = 0;

  /** A file that is not there counts as empty, unless it is `needed`. */
  read(path: string, includeFolder: string, depth: number, needed = false): void {
    if (depth > MAX_DEPTH || ++this.#files > MAX_FILES) return;
    let text: string;
    try {
      const stat = statSync(path);
      if (!stat.isFile() || stat.size > MAX_FILE)
        throw new Error(`it is not a file, or has more than ${MAX_FILE} bytes`);
      text = readFileSync(path, "utf8");
    } catch (error) {
      if ((error as { code?: string }).code === "ENOENT" && !needed) return;
      throw new InventoryError(`Cannot read ssh_config ${quote(path)}: ${messageOf(error)}`, {
        cause: error,
      });
    }
    for (const line of text.split("\n")) {
      const [keyword = "", ...args] = words(line);
      if (keyword.toLowerCase() === "include") {
        for (const each of args.flatMap((arg) => matchingFiles(arg, includeFolder)))
          this.read(each, includeFolder, depth + 1);
      } else if (keyword.toLowerCase() === "host") {
        for (const name of args) if (isBareName(name)) this.names.add(name);
      }
    }
  }
}

/** The words of a line. The keyword may be followed by `=`, and words may be quoted. `#` begins a comment. */
function words(line: string): string[] {
  const keyword = /^\s*(\w+)/.exec(line);
  if (keyword === null) return [];
  const rest = line.slice(keyword[0].length).trimStart().replace(/^=/, "");
  const args = rest.match(/"[^"]*"|'[^']*'|[^\s"']+/g) ?? [];
  const comment = args.findIndex((word) => word.startsWith("#"));
  const used = comment < 0 ? args : args.slice(0, comment);
  return [keyword[1] as string, ...used.map((word) => (/^["']/.test(word) ? word.slice(1, -1) : word))];
}

function untilde(path: string): string {
  return path === "~" || path.startsWith("~/") ? join(homeFolder(), path.slice(1)) : path;
}

/** The files that an `Include` means, in the order of their names. */
function matchingFiles(pattern: string, folder: string): string[] {
  const full = untilde(pattern);
  const parts = (isAbsolute(full) ? full : join(folder, full)).split("/").slice(1);
  let found = ["/"];
  for (const part of parts) {
    if (!isGlob(part)) {
      found = found.map((each) => join(each, part));
      continue;
    }
    const isMatch = globMatcher(part);
    found = found.flatMap((each) =>
      entriesOf(each)
        .filter((name) => isMatch(name) && (part.startsWith(".") || !name.startsWith(".")))
        .map((name) => join(each, name)),
    );
    if (found.length > MAX_FILES) found.length = MAX_FILES;
  }
  return found;
}

function entriesOf(folder: string): string[] {
  try {
    return readdirSync(folder).sort();
  } catch {
    return [];
  }
}
