import { relative } from "node:path";
import { fileURLToPath } from "node:url";

/** Formats a chain of imports: `tasks.ts → sharp/lib/index.js → …` */
export function printChain(chain: readonly string[]): string {
  return chain.map(shortName).join(" → ");
}

const NODE_MODULES = "/node_modules/";

/** Shortens an id for readers: relative to its package, or to the program's working directory. */
export function shortName(id: string): string {
  const at = id.lastIndexOf(NODE_MODULES);
  if (at >= 0) return id.slice(at + NODE_MODULES.length);
  if (!id.startsWith("file:")) return id.slice(0, 100);
  const path = relative(process.cwd(), fileURLToPath(id));
  return path.startsWith("..") ? fileURLToPath(id) : path;
}
