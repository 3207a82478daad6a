/** Runs TypeScript programs of the documents. */
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { basename, join } from "node:path";
import { isCi } from "./extent.ts";
import { repoRoot } from "./lab.ts";
import { type Program, runProgram } from "./run-program.ts";

/**
 * Runs a program with tsx in CI, as a reader does. That takes a second each time, so elsewhere the program is
 * compiled first, and must not import files beside it. The compiled file is in a folder of `parent`, by default inside
 * the repository, where "mitogen" is this package.
 */
export async function runTypeScript(
  path: string,
  args: readonly string[] = [],
  parent: string = join(repoRoot, "build"),
): Promise<Awaited<Program["ended"]>> {
  if (isCi) return await runProgram(path, { nodeArgs: ["--import", "tsx"], args }).ended;
  mkdirSync(parent, { recursive: true });
  const folder = mkdtempSync(join(parent, "program-"));
  try {
    const file = join(folder, basename(path).replace(/\.ts$/, ".mjs"));
    // A program of its own, because esbuild's service would stay.
    const esbuild = join(repoRoot, "node_modules/esbuild/bin/esbuild");
    const options = [path, "--format=esm", "--target=node20", "--log-level=error", `--outfile=${file}`];
    execFileSync(esbuild, options);
    return await runProgram(file, { args }).ended;
  } finally {
    rmSync(folder, { recursive: true });
  }
}
