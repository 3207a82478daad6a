import { lstatSync, readFileSync, statSync } from "node:fs";
import { dirname, extname, join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { messageOf } from "../../wire/values/thrown.ts";
import type { InventoryData } from "./config.ts";
import { InventoryError, quote } from "./inventory-error.ts";
import { readConfig } from "./read-config.ts";
import { within } from "./within.ts";

const EXTENSIONS = [".ts", ".mts", ".js", ".mjs", ".cjs", ".json"];
/** The names of a config file, in the order in which they are looked for in a folder. */
export const CONFIG_NAMES: readonly string[] = EXTENSIONS.map((extension) => `mitogen.config${extension}`);
/** The largest config file, in bytes. */
const MAX_BYTES = 16 * 1024 * 1024;

/** The config of this folder, or of the nearest folder above that has one. */
export function findConfig(folder: string): string | undefined {
  for (let at = resolve(folder); ; at = dirname(at)) {
    for (const name of CONFIG_NAMES) {
      const path = join(at, name);
      if (isOwnConfig(path)) return path;
    }
    if (dirname(at) === at) return undefined;
  }
}

/**
 * Whether there is a config that may run. A config runs as this user, so one that another user left in a folder above,
 * such as /tmp, must not run unasked. That user could also change where a link leads after the file has been checked.
 */
function isOwnConfig(path: string): boolean {
  let isLink: boolean | undefined;
  try {
    const entry = lstatSync(path, { throwIfNoEntry: false });
    isLink = entry?.isSymbolicLink();
    if (entry === undefined) return false;
    if (isLink === true) checkOwner(path, entry.uid);
    const file = statSync(path, { throwIfNoEntry: false });
    if (file?.isFile() !== true) return false;
    checkOwner(path, file.uid);
    return true;
  } catch (error) {
    if (error instanceof InventoryError) throw error;
    // The folder, or one above it, is closed to this user, as after `sudo -u nobody` in a home.
    if (isLink === undefined && (error as NodeJS.ErrnoException).code === "EACCES") return false;
    throw new InventoryError(`Cannot load ${quote(path)}: ${messageOf(error)}`, { cause: error });
  }
}

function checkOwner(path: string, uid: number): void {
  const own = process.getuid?.();
  if (own === undefined || uid === own || uid === 0) return;
  throw new InventoryError(
    `Cannot load ${quote(path)}: it belongs to another user (uid ${uid}), and would run as you; name it with --inventory, or as the argument of Inventory.load(), if you trust it`,
  );
}

/** Loads a config file and checks it. */
export async function loadConfig(path: string, signal?: AbortSignal): Promise<InventoryData> {
  const file = resolve(path);
  const what = `Cannot load ${quote(path)}`;
  const stat = statSync(file, { throwIfNoEntry: false });
  if (stat === undefined) throw new InventoryError(`${what}: there is no such file`);
  if (!stat.isFile()) throw new InventoryError(`${what}: it is not a file`);
  if (stat.size > MAX_BYTES) throw new InventoryError(`${what}: it is larger than ${MAX_BYTES} bytes`);
  const extension = extname(file);
  if (!EXTENSIONS.includes(extension))
    throw new InventoryError(`${what}: the name of a config must end in ${EXTENSIONS.join(", ")}`);
  let config: unknown;
  try {
    config =
      extension === ".json"
        ? JSON.parse(readFileSync(file, "utf8").replace(/^\uFEFF/, ""))
        : await within(`load ${quote(path)}`, signal, () => importConfig(file, extension));
    if (typeof config === "function") {
      const make = config as () => unknown;
      config = await within(`run the function of ${quote(path)}`, signal, async () => await make());
    }
  } catch (error) {
    if (error instanceof InventoryError || (signal?.aborted === true && error === signal.reason)) throw error;
    throw new InventoryError(`${what}: ${messageOf(error)}`, { cause: error });
  }
  if (config === undefined)
    throw new InventoryError(
      `${what}: it has no default export; write \`export default defineConfig({ … })\``,
    );
  return readConfig(config, quote(path));
}

async function importConfig(file: string, extension: string): Promise<unknown> {
  const isTypeScript = extension === ".ts" || extension === ".mts";
  const module = isTypeScript
    ? await (await import("./compile-config.ts")).importTypeScript(file)
    : ((await import(pathToFileURL(file).href)) as { default?: unknown });
  const found = module.default;
  // Some loaders put the exports of a CommonJS module one level deeper.
  const nested = found as { __esModule?: boolean; default?: unknown } | undefined;
  return nested?.__esModule === true ? nested.default : found;
}
