import { checkDescriptors } from "./system-limits.ts";

/** A file, or a package's files: several are read at once. */
const DESCRIPTORS = 8;

/**
 * Imports what is not needed from the start: `importLate(() => import("./x.ts"))`. Rejects with the system's error, the limit named, when there
 * are too few descriptors. That is found out before: Node 20 never tries again to import what it could not open once.
 */
export async function importLate<T>(load: () => Promise<T>): Promise<T> {
  checkDescriptors(DESCRIPTORS);
  const module = await load();
  if (module === undefined) {
    throw new Error(
      "Cannot load a part of this library: the bundle that it is in has not been evaluated to its end; do not await at the top level of a bundle of one file, or leave mitogen out of it",
    );
  }
  return module;
}
