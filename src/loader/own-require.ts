import { createRequire } from "node:module";
import { LIBRARY_FILE } from "../library.ts";

let made: NodeJS.Require | undefined;

/** The `require` of this library. It shares the program's cache. */
export function ownRequire(): NodeJS.Require {
  made ??= createRequire(LIBRARY_FILE);
  return made;
}
