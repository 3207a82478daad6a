/** Runs programs in TypeScript of the documents. */
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { basename, join } from "node:path";
import { isCi } from "./extent.ts";
import { repoRoot } from "./lab.ts";
import { type Program, runProgram } from "./run-program.ts";

/**
 * In CI as a reader does, by tsx. That takes a second each time, so elsewhere the program is JavaScript before
 * it runs: it must not import files beside it. That is in a folder of `parent`, by default inside the repository, where
 * "mitogen" is this package.
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
    // Its service would stay.
    const esbuild = join(repoRoot, "node_modules/esbuild/bin/esbuild");
    const options = [path, "--format=esm", "--target=node20", "--log-level=error", `--outfile=${file}`];
    execFileSync(esbuild, options);
    return await runProgram(file, { args }).ended;
  } finally {
    rmSync(folder, { recursive: true });
  }
}
