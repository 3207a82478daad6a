import { statSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { ENTRY_MODULE } from "../syntax/entry-guard.ts";
import { Compiler } from "./compile.ts";
import { DraftCache } from "./draft-cache.ts";
import { ModuleGraph } from "./graph.ts";
import { ModuleRules } from "./module-rules.ts";
import { RuledModules } from "./ruled-modules.ts";

export { resolveByRules } from "./ruled-modules.ts";

/** A script that is larger is compiled when it is needed: parsing it would hold up the program for no reason. */
const MAX_WARM_BYTES = 128 * 1024;

/** Shared by all routers of this process: a module is compiled once, not once per target. */
export const compiler: Compiler = new Compiler({ cache: new DraftCache() });

/** The graph of those routers whose programs have no rules about it. */
export const plainGraph: ModuleGraph = new ModuleGraph(new RuledModules(new ModuleRules(), compiler));

/** That of a router, by its rules. */
export function graphFor(rules: ModuleRules): ModuleGraph {
  return rules.isPlain ? plainGraph : new ModuleGraph(new RuledModules(rules, compiler));
}

/**
 * Does in advance what the first module that is sent would have to wait for. Compiles the script this program was started with: most young
 * programs call a function of it, and what that loads others need as well. Never rejects.
 */
export async function warmUp(): Promise<void> {
  try {
    if (ENTRY_MODULE === undefined || statSync(fileURLToPath(ENTRY_MODULE)).size > MAX_WARM_BYTES) return;
    await compiler.compile(ENTRY_MODULE, process.versions.node);
  } catch {
    // Whoever needs it is told what is wrong.
  }
}
