import type { Options, Program } from "acorn";
import { importLate } from "../../process/late-import.ts";
import { ownRequire } from "../own-require.ts";

/** Loaded late: most programs never parse anything, and it takes longer to load than all they need of this library. */
let parser: typeof import("acorn") | undefined;

/** For those who can wait: bundlers do not follow the `require` below. */
export async function loadParser(): Promise<void> {
  parser ??= await importLate(() => import("acorn"));
}

/** The syntax tree of a script or a module. Throws a SyntaxError. */
export function parseProgram(source: string, options: Options): Program {
  parser ??= ownRequire()("acorn") as typeof import("acorn");
  return parser.parse(source, options);
}
