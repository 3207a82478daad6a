import { pathToFileURL } from "node:url";
import { anyText } from "../options/option-types.ts";
import { misuse, type OptionTable, readOptions, show, takeOption } from "../options/options.ts";
import { read } from "../wire/values/thrown.ts";

/** A module that has resources beside it: its `import.meta`, or its `module`. */
export type ResourceOwner = { readonly url: string } | { readonly filename: string };

/**
 * Reads a file beside a module. `path` is relative to the module. The program reads from the disk, a context
 * through the program. Only files of the module's own package can be read:
 * docs/modules.md#resources-and-addons. Rejects with an Error whose code is `ENOENT` if there is no such file,
 * `ERR_RESOURCE_REFUSED` if contexts may not have it, or `ERR_RESOURCE_TOO_LARGE` if it is over the limit.
 *
 * ```ts
 * const template = await resource(import.meta, "./motd.txt", { encoding: "utf8" });
 * ```
 */
export interface ReadResource {
  /** Resolves with the bytes, a copy of the caller's own. */
  (owner: ResourceOwner, path: string): Promise<Buffer>;
  /** Resolves with the text. */
  (owner: ResourceOwner, path: string, options: { readonly encoding: BufferEncoding }): Promise<string>;
}

const RESOURCE_OPTIONS: OptionTable<{ encoding?: BufferEncoding }> = {
  encoding: {
    wanted: "an encoding that Buffer knows",
    take(value, refuse) {
      if (typeof value !== "string") throw refuse("ERR_INVALID_ARG_TYPE");
      if (!Buffer.isEncoding(value)) throw refuse("ERR_INVALID_ARG_VALUE");
      return value;
    },
  },
};

/** Makes `resource()` from a function that reads bytes. That function may return the same buffer twice. */
export function readResourceWith(fetch: (id: string, path: string) => Promise<Buffer>): ReadResource {
  const readResource = async (
    owner: ResourceOwner,
    path: string,
    options?: { readonly encoding?: BufferEncoding },
  ): Promise<Buffer | string> => {
    const id = idOf(owner);
    const what = `read a resource of ${id}`;
    takeOption(what, "the path", path, anyText);
    const { encoding } = options === undefined ? {} : readOptions(what, options, RESOURCE_OPTIONS);
    const bytes = await fetch(id, path);
    return encoding === undefined ? Buffer.from(bytes) : bytes.toString(encoding);
  };
  return readResource as ReadResource;
}

/** The error for a resource that cannot be read. It is the same in every context. */
export function resourceError(message: string, code: string): Error {
  return Object.assign(new Error(message), { code });
}

function idOf(owner: ResourceOwner): string {
  const url = read(owner, "url");
  if (typeof url === "string") return url;
  const filename = read(owner, "filename");
  if (typeof filename === "string") return pathToFileURL(filename).href;
  throw misuse(
    "ERR_INVALID_ARG_TYPE",
    `Cannot read a resource: the first argument must be import.meta or module, got ${show(owner)}`,
  );
}
