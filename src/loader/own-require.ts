import { createRequire } from "node:module";
import { LIBRARY_FILE } from "../library.ts";

let made: NodeJS.Require | undefined;

/** Returns the `require` of this library, which shares the program's cache. */
export function ownRequire(): NodeJS.Require {
  made ??= createRequire(LIBRARY_FILE);
  return made;
}
