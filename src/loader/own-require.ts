import { createRequire } from "node:module";

let made: NodeJS.Require | undefined;

/** The `require` of this library, whose cache is that of the program. */
export function ownRequire(): NodeJS.Require {
  made ??= createRequire(import.meta.url);
  return made;
}
