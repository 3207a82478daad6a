import { mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after } from "node:test";
import { pathToFileURL } from "node:url";

/**
 * Writes files for one test file and removes them after it; a text `→ target` makes a symbolic link. Returns
 * the URL of a path in the tree. Not under tests/fixtures, because packages in node_modules would be ignored
 * by git.
 */
export function temporaryTree(files: Record<string, string>): (path: string) => string {
  const root = realpathSync(mkdtempSync(join(tmpdir(), "mitogen-loader-")));
  after(() => rmSync(root, { recursive: true, force: true }));
  for (const [path, text] of Object.entries(files)) {
    const file = join(root, path);
    mkdirSync(dirname(file), { recursive: true });
    if (text.startsWith("→ ")) symlinkSync(text.slice(2), file);
    else writeFileSync(file, text);
  }
  return (path) => pathToFileURL(`${root}/${path}`).href;
}
