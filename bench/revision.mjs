// Another revision of this repository, built in a temporary folder.
import { execFileSync } from "node:child_process";
import { readFileSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { here } from "./library.mjs";
import { scratchFolder } from "./scratch.mjs";

/**
 * Returns the commit and the folder. The revision uses the node_modules of the current checkout if both have the
 * same package-lock.json; otherwise its own are installed. Throws if there is no such revision, or if it cannot be
 * built.
 */
export function buildRevision(name) {
  const commit = git("rev-parse", "--verify", "--quiet", "--end-of-options", `${name}^{commit}`)
    .toString()
    .trim();
  const root = scratchFolder();
  try {
    const archive = git("archive", commit);
    execFileSync("tar", ["-x", "-C", root], { input: archive });
    if (lockOf(root) === lockOf(here)) symlinkSync(join(here, "node_modules"), join(root, "node_modules"));
    else execFileSync("npm", ["ci", "--no-audit", "--no-fund"], { cwd: root, stdio: ["ignore", 2, 2] });
    execFileSync(process.execPath, ["scripts/build.mjs", "--quiet"], { cwd: root, stdio: ["ignore", 2, 2] });
  } catch (error) {
    throw new Error(`Cannot build ${name}: ${error.message}`, { cause: error });
  }
  return { commit, root };
}

function git(...args) {
  return execFileSync("git", args, { cwd: here, maxBuffer: 1 << 30, stdio: ["ignore", "pipe", "inherit"] });
}

function lockOf(root) {
  return readFileSync(join(root, "package-lock.json"), "utf8");
}
