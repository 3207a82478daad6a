import { createHash } from "node:crypto";
import { statSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { LIBRARY_FILE } from "../../library.ts";
import { ModuleError } from "../module-error.ts";
import type { ModuleFormat } from "../module-record.ts";
import { ownRequire } from "../own-require.ts";
import { packageScope } from "../resolve/package-scope.ts";
import { CacheFolder } from "./cache-folder.ts";

/** Text that is being prepared for a target. */
export interface Draft {
  readonly format: ModuleFormat;
  readonly source: string;
  /** The source map from `source` to the file; empty while they are the same. */
  readonly map: string;
}

/**
 * Keeps the results of compilation for later programs: compilers and parsers take longer to load than to do
 * their work.
 */
export class DraftCache {
  readonly #folder: CacheFolder;

  constructor(folder: CacheFolder = new CacheFolder("modules")) {
    this.#folder = folder;
  }

  /**
   * Returns what `make` makes, or made before from the same `inputs` with the same versions of this library
   * and of the packages in `tools`. The result must depend on nothing else. The failure of an entry script
   * that cannot be sent is kept as well.
   */
  async draft(
    inputs: readonly unknown[],
    tools: readonly string[],
    make: () => Promise<Draft>,
  ): Promise<Draft> {
    const key = keyOf(inputs, tools);
    const kept = key && this.#folder.read(key);
    if (kept) return parseDraft(kept);
    const keep = (...values: string[]): void => {
      if (key !== undefined) this.#folder.write(key, Buffer.from(JSON.stringify(values)));
    };
    try {
      const draft = await make();
      keep(draft.format, draft.source, draft.map);
      return draft;
    } catch (error) {
      if (error instanceof ModuleError && error.code === "ERR_MODULE_ENTRY") keep(error.message);
      throw error;
    }
  }
}

/** Returns the key of a result. Undefined if the versions are not known: in a bundle without its packages. */
function keyOf(inputs: readonly unknown[], tools: readonly string[]): string | undefined {
  try {
    const all = [ownVersion(), process.version, tools.map(versionOf), inputs];
    return createHash("sha256").update(JSON.stringify(all)).digest("base64url");
  } catch {
    return undefined;
  }
}

function parseDraft(kept: Buffer): Draft {
  const [first, source, map] = JSON.parse(kept.toString()) as [string, string?, string?];
  if (source === undefined || map === undefined) throw new ModuleError("ERR_MODULE_ENTRY", first);
  return { format: first as ModuleFormat, source, map };
}

/**
 * Returns a key for this library's version. The name of a published file holds a hash of its content and of the
 * files it imports.
 */
function ownVersion(): string {
  const file = fileURLToPath(LIBRARY_FILE);
  const { mtimeMs, size } = statSync(file);
  return `${file} ${mtimeMs} ${size}`;
}

function versionOf(name: string): string | undefined {
  return packageScope(ownRequire().resolve(name))?.version;
}
