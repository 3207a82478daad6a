import { readdirSync } from "node:fs";
import { join } from "node:path";
import { repoRoot } from "./lab.ts";

/** The documents people read: at the root and in docs/. */
export const documents: readonly string[] = [repoRoot, join(repoRoot, "docs")].flatMap((folder) =>
  readdirSync(folder)
    .filter((name) => name.endsWith(".md"))
    .map((name) => join(folder, name)),
);
