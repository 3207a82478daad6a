/** How Linux marks the path of an executable without a name. */
const UNNAMED = / \(deleted\)$/;

/**
 * The command that runs node on this machine: the node that runs this program. Bun and Deno can run programs,
 * but not contexts. Under them the list is empty, and node is looked for in PATH. A node in memory is found
 * through the process that it runs in.
 */
export const OWN_NODE: readonly string[] =
  "bun" in process.versions || "deno" in process.versions
    ? []
    : [UNNAMED.test(process.execPath) ? `/proc/${process.pid}/exe` : process.execPath];
