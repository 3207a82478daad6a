import { checkDescriptors } from "./system-limits.ts";

/** The descriptors for an import: several files of a package are read at once. */
const DESCRIPTORS = 8;

/**
 * Imports code that is not needed from the start: `importLate(() => import("./x.ts"))`. If there are too few
 * descriptors, rejects with the system's error, which names the limit. This is checked before the import,
 * because Node 20 never retries a file that it once failed to open.
 */
export async function importLate<T>(load: () => Promise<T>): Promise<T> {
  checkDescriptors(DESCRIPTORS);
  const module = await load();
  if (module === undefined) {
    throw new Error(
      "Cannot load a part of this library: the bundle that contains it has not finished its evaluation; do not await at the top level of a single-file bundle, or leave mitogen out of the bundle",
    );
  }
  return module;
}
