import { execFile, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { repoRoot } from "./lab.ts";
import { npmEnv } from "./npm-env.ts";

const FIXTURE = join(repoRoot, "tests/fixtures/npm");
const INSTALLED = join(repoRoot, ".lab/npm");
const INSTALL_LIMIT_MS = 600_000;

/** `tests/fixtures/npm` with what it depends on, or why there is none. */
export type NpmFixture = { readonly folder: string } | { readonly skip: string };

/** Installs the fixture unless that has been done for this very lock file. In CI it throws where it otherwise skips. */
export async function npmFixture(): Promise<NpmFixture> {
  try {
    return { folder: await installed() };
  } catch (error) {
    if (process.env["CI"] === "true") throw error;
    return { skip: `Needs packages of tests/fixtures/npm: ${(error as Error).message.slice(0, 1000)}` };
  }
}

/**
 * A command line that runs `node` where `folder` is empty, as it would be on another machine; undefined where this
 * process may not make mount namespaces. In CI it throws instead.
 */
export function nodeWithout(folder: string, node: string): string[] | undefined {
  const unshare =
    process.getuid?.() === 0 ? ["unshare", "--mount"] : ["unshare", "--user", "--map-root-user", "--mount"];
  const script = 'mount -t tmpfs none "$0" && exec "$@"';
  const words = [...unshare, "sh", "-c", script, folder];
  const { status, stderr, error } = spawnSync(words[0] as string, [...words.slice(1), "true"], {
    encoding: "utf8",
  });
  if (status === 0) return [...words, node];
  if (process.env["CI"] === "true") throw new Error(`Cannot hide ${folder} from a child: ${error ?? stderr}`);
  return undefined;
}

async function installed(): Promise<string> {
  const files = ["package.json", "package-lock.json", ".npmrc"];
  const hash = createHash("sha256");
  for (const file of files) hash.update(readFileSync(join(FIXTURE, file)));
  const folder = join(INSTALLED, hash.digest("hex").slice(0, 16));
  if (!existsSync(folder)) await install(folder, [...files, "packages"]);
  // What is ours may have changed without the lock file.
  for (const own of ["packages", "uses"]) {
    rmSync(join(folder, own), { recursive: true, force: true });
    cpSync(join(FIXTURE, own), join(folder, own), { recursive: true });
  }
  return folder;
}

async function install(folder: string, files: readonly string[]): Promise<void> {
  const draft = `${folder}.${process.pid}`;
  mkdirSync(draft, { recursive: true });
  try {
    for (const file of files) cpSync(join(FIXTURE, file), join(draft, file), { recursive: true });
    const args = ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"];
    await promisify(execFile)("npm", args, { cwd: draft, env: npmEnv(), timeout: INSTALL_LIMIT_MS });
    for (const other of readdirSync(INSTALLED)) {
      if (!draft.endsWith(other)) rmSync(join(INSTALLED, other), { recursive: true, force: true });
    }
    renameSync(draft, folder);
  } finally {
    rmSync(draft, { recursive: true, force: true });
  }
}
