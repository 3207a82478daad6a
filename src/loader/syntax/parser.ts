import type { Options, Program } from "acorn";
import { importLate } from "../../process/late-import.ts";
import type { ModuleFormat } from "../module-record.ts";
import { ownRequire } from "../own-require.ts";
import type { Ast } from "./ast.ts";

/**
 * Loaded late, because most programs never parse anything, and the parser takes longer to load than everything else
 * that such programs need of this library.
 */
let parser: typeof import("acorn") | undefined;

/** Loads the parser asynchronously, because bundlers do not follow the `require` below. */
export async function loadParser(): Promise<void> {
  parser ??= await importLate(() => import("acorn"));
}

/** Returns the syntax tree of a script or a module. Throws a SyntaxError. */
export function parseProgram(source: string, options: Options): Program {
  parser ??= ownRequire()("acorn") as typeof import("acorn");
  return parser.parse(source, options);
}

/** Returns the syntax tree of a user's file. Allows `await` and `return` at its top level. Throws a SyntaxError. */
export function parseFile(source: string, format: ModuleFormat): Ast {
  return parseProgram(source, {
    ecmaVersion: "latest",
    sourceType: format === "module" ? "module" : "script",
    allowAwaitOutsideFunction: true,
    allowReturnOutsideFunction: true,
    allowHashBang: true,
  });
}
