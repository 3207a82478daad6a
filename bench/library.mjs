// A built checkout of ours: what the rows measure.

import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

/** The checkout that this file is in. */
export const here = fileURLToPath(new URL("..", import.meta.url));

/** `api` is what `import "mitogen"` gives; `root` is the folder of the package. Throws if the checkout is not built. */
export async function loadLibrary(root) {
  return { root, api: await import(pathToFileURL(join(root, "dist/index.js")).href) };
}
