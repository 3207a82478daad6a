import { pathToFileURL } from "node:url";
import { anyText } from "../options/option-types.ts";
import { misuse, type OptionTable, readOptions, show, takeOption } from "../options/options.ts";
import { read } from "../wire/values/thrown.ts";

/** A module that has resources beside it: its `import.meta`, or its `module`. */
export type ResourceOwner = { readonly url: string } | { readonly filename: string };

/**
 * Reads a file that belongs to a module, `path` being relative to it: in the program from the disk, in a context through the program. Only
 * files of the module's own package; see docs/modules.md#resources-and-addons. Rejects with code `ENOENT` for what is no
 * file, `ERR_RESOURCE_REFUSED` for what is not given away, `ERR_RESOURCE_TOO_LARGE`.
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

/** Makes `resource()` of a way to read bytes, which may hand out the same buffer twice. */
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

/** The error of a resource that cannot be read, the same wherever it was asked for. */
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
