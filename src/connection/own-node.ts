/** What Linux says of an executable that has no name, or no longer. */
const UNNAMED = / \(deleted\)$/;

/**
 * The command that runs node on this machine: what runs this program. Bun and Deno run programs, but no contexts: there the list is empty,
 * and node is looked for in PATH. A node in memory is found by the process that it runs in.
 */
export const OWN_NODE: readonly string[] =
  "bun" in process.versions || "deno" in process.versions
    ? []
    : [UNNAMED.test(process.execPath) ? `/proc/${process.pid}/exe` : process.execPath];
