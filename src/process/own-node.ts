/**
 * The command that runs node on this machine: what runs this program. Bun and Deno run programs, but no contexts: there the list is empty,
 * and node is looked for in PATH.
 */
export const OWN_NODE: readonly string[] =
  "bun" in process.versions || "deno" in process.versions ? [] : [process.execPath];
