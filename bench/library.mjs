// A built checkout of ours: what the rows measure.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

/** The checkout that this file is in. */
export const here = fileURLToPath(new URL("..", import.meta.url));

/**
 * `api` is what `import "mitogen"` gives, `root` the checkout, `manifest` its package.json. Throws if it is
 * not built.
 */
export async function loadLibrary(root) {
  const manifest = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
  const entry = join(root, manifest.exports["."].default);
  return { root, manifest, api: await import(pathToFileURL(entry).href) };
}
