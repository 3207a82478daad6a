/** How Linux marks the path of an executable without a name. */
const UNNAMED = / \(deleted\)$/;

/**
 * The command that runs node on this machine: the node that runs this program. Bun and Deno can run programs,
 * but not contexts. Under them the list is empty, and node is taken from PATH. A node in memory has no path; it
 * is started through the process that it runs in.
 */
export const OWN_NODE: readonly string[] =
  "bun" in process.versions || "deno" in process.versions
    ? []
    : [UNNAMED.test(process.execPath) ? `/proc/${process.pid}/exe` : process.execPath];

/** Whether the path is that of a node that `provision: "cache"` has brought. */
const isBrought = (path: string): boolean => {
  const [folder = "", file] = path.split("/").slice(-2);
  return file === "node" && folder.length === 64 && /^[0-9a-f]+$/.test(folder);
};

/**
 * The same for contexts of other users. A node that was brought belongs to one user: most others may not run it,
 * and root should run nothing that this user can change. Then the list is empty, so that the contexts look for
 * another node, or get one.
 */
export const NODE_FOR_OTHERS: readonly string[] = isBrought(process.execPath) ? [] : OWN_NODE;
