/**
 * The command that runs node on this machine: the node that runs this program. Bun and Deno can run programs,
 * but not contexts. Under them the list is empty, and node is looked for in PATH.
 */
export const OWN_NODE: readonly string[] =
  "bun" in process.versions || "deno" in process.versions ? [] : [process.execPath];
