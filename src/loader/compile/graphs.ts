import { statSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { ENTRY_MODULE } from "../syntax/entry-guard.ts";
import { Compiler } from "./compile.ts";
import { DraftCache } from "./draft-cache.ts";
import { ModuleGraph } from "./graph.ts";
import { ModuleRules } from "./module-rules.ts";
import { RuledModules } from "./ruled-modules.ts";

export { resolveByRules } from "./ruled-modules.ts";

/**
 * A larger entry script is compiled only when it is needed: parsing it would delay the program for nothing.
 */
const MAX_WARM_BYTES = 128 * 1024;

/** Shared by all routers of this process: a module is compiled once, not once for each target. */
export const compiler: Compiler = new Compiler({ cache: new DraftCache() });

/** The graph of all routers without rules that change it. */
export const plainGraph: ModuleGraph = new ModuleGraph(new RuledModules(new ModuleRules(), compiler));

/** The graph of a router with these rules. */
export function graphFor(rules: ModuleRules): ModuleGraph {
  return rules.isPlain ? plainGraph : new ModuleGraph(new RuledModules(rules, compiler));
}

/**
 * Does work in advance that would delay the first module: compiles the script that this program was started with.
 * Most programs soon call a function of it, and the code that this loads is needed for other modules as well.
 * Never rejects.
 */
export async function warmUp(): Promise<void> {
  try {
    if (ENTRY_MODULE === undefined || statSync(fileURLToPath(ENTRY_MODULE)).size > MAX_WARM_BYTES) return;
    await compiler.compile(ENTRY_MODULE, process.versions.node);
  } catch {
    // The call that needs the script reports the error.
  }
}
