import { createRequire } from "node:module";
import { LIBRARY_FILE } from "../library.ts";

let made: NodeJS.Require | undefined;

/** The `require` of this library, whose cache is that of the program. */
export function ownRequire(): NodeJS.Require {
  made ??= createRequire(LIBRARY_FILE);
  return made;
}
