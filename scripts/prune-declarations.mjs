/** Removes from dist/ the declarations that no entry point leads to: the types of internal files are private. */
import { readdirSync, readFileSync, rmdirSync, rmSync } from "node:fs";
import { dirname, join, resolve } from "node:path";

const COMMENT = /\/\*[\s\S]*?\*\//g;
const IMPORT = /\b(?:from |import\()"(\.[^"]+)\.ts"/g;

export function pruneDeclarations(log = console.log) {
  const { exports } = JSON.parse(readFileSync("package.json", "utf8"));
  const reached = new Set(
    Object.values(exports)
      .filter(({ types }) => types !== undefined)
      .map(({ types }) => resolve(types)),
  );
  // The set grows during the loop.
  for (const path of reached) {
    for (const [, name] of readFileSync(path, "utf8").replace(COMMENT, "").matchAll(IMPORT)) {
      reached.add(`${resolve(dirname(path), name)}.d.ts`);
    }
  }
  removeBut(resolve("dist"), reached);
  log(`declarations: ${reached.size} files`);
}

/** Removes declarations, and folders that are empty then. */
function removeBut(folder, kept) {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) removeBut(path, kept);
    else if (entry.name.endsWith(".d.ts") && !kept.has(path)) rmSync(path);
  }
  if (readdirSync(folder).length === 0) rmdirSync(folder);
}
