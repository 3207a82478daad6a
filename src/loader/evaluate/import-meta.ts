import { dirname } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { attempt } from "../../wire/values/thrown.ts";
import { isBuiltin } from "../builtins.ts";
import { PROVIDED } from "../module-record.ts";
import type { CommonJs } from "./commonjs.ts";
import type { SentModules } from "./sent-modules.ts";

/** Adds to `import.meta` of a module what Node has there. */
export function fillMeta(meta: ImportMeta, id: string, modules: SentModules, commonJs: CommonJs): void {
  const resolve = (specifier: string): string => {
    // As in Node, a module named by its place need not exist.
    const isPlace = /^(?:\.{0,2}\/|[a-z][a-z\d+.-]*:)/i.test(specifier) && !isBuiltin(specifier);
    const known = isPlace
      ? attempt(() => modules.resolveKnown(id, specifier, "import"))
      : modules.resolveKnown(id, specifier, "import");
    const found =
      known ?? (isPlace ? new URL(specifier, id).href : modules.resolveSync(id, specifier, "import"));
    if (found.startsWith(PROVIDED)) return pathToFileURL(commonJs.resolveProvided(found)).href;
    return isBuiltin(found) && !found.startsWith("node:") ? `node:${found}` : found;
  };
  if (!id.startsWith("file:")) {
    Object.assign(meta, { resolve, url: id });
    return;
  }
  const filename = fileURLToPath(id);
  Object.assign(meta, { dirname: dirname(filename), filename, main: false, resolve, url: id });
}
