// npm run check, and prepublishOnly with --publish: checks what npm would publish. Packs dist/ as it is, and lets publint
// and arethetypeswrong read the tarball.
import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

/** A link or picture that is neither absolute nor within the page. */
const RELATIVE_LINK = /\]\((?![a-z]+:|#)([^)\s]+)/g;

process.chdir(dirname(dirname(fileURLToPath(import.meta.url))));
const folder = mkdtempSync(join(tmpdir(), "mitogen-package-"));
try {
  const args = ["pack", "--ignore-scripts", "--json", "--pack-destination", folder];
  const [{ filename, files }] = JSON.parse(execFileSync("npm", args, { encoding: "utf8" }));
  const tarball = join(folder, filename);
  const paths = files.map(({ path }) => path);
  for (const problem of [...sourceMaps(paths), ...deadLinks()]) {
    console.error(problem);
    process.exitCode = 1;
  }
  run("publint/src/cli.js", [tarball, "--strict"]);
  // mitogen/fleet is an ES module only.
  const rules = ["--profile", "node16", "--ignore-rules", "cjs-resolves-to-esm", "--format", "ascii"];
  run("@arethetypeswrong/cli/dist/index.js", [tarball, ...rules]);
} finally {
  rmSync(folder, { recursive: true, force: true });
}

/** Source maps lead to src/, which is not in the package. */
function sourceMaps(paths) {
  const maps = paths.filter((path) => path.endsWith(".map"));
  const pointers = paths
    .filter((path) => /^dist\/.*\.[cm]?[jt]s$/.test(path))
    .filter((path) => /^\/\/# sourceMappingURL=\S+\s*$/.test(lastLine(path)));
  return [...maps, ...pointers].map((path) => `${path} leads to sources that are not in the package`);
}

/**
 * npm's page resolves the relative links of a README against `repository`, and leaves them dead without one. There is no address yet: until
 * there is one, only publishing fails.
 */
function deadLinks() {
  const { repository } = JSON.parse(readFileSync("package.json", "utf8"));
  const links = [...readFileSync("README.md", "utf8").matchAll(RELATIVE_LINK)].map(([, link]) => link);
  const missing = links.filter((link) => !existsSync(link.replace(/#.*/, "")));
  if (missing.length > 0) return missing.map((link) => `README.md links to ${link}, which does not exist`);
  if (repository !== undefined || !process.argv.includes("--publish")) return [];
  return [
    `Cannot publish: package.json has no "repository", so ${links.length} links of README.md would be dead`,
  ];
}

function lastLine(path) {
  return readFileSync(path, "utf8").trimEnd().split("\n").at(-1);
}

function run(script, args) {
  const path = fileURLToPath(new URL(`../node_modules/${script}`, import.meta.url));
  const { status } = spawnSync(process.execPath, [path, ...args], { stdio: "inherit" });
  if (status !== 0) process.exitCode = 1;
}
