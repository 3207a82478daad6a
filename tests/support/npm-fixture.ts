import { execFile, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { repoRoot } from "./lab.ts";
import { npmEnv } from "./npm-env.ts";

const FIXTURES = join(repoRoot, "tests/fixtures");
const INSTALLED = join(repoRoot, ".lab");
const INSTALL_LIMIT_MS = 600_000;

/** A folder of `tests/fixtures`, and the folder of the packages it depends on; or why there is none. */
export type NpmFixture = { readonly folder: string; readonly packages: string } | { readonly skip: string };

/**
 * The fixture of npm packages without an installation: its modules find packages among those that this repository
 * has itself, and no others.
 */
export function ownPackages(): NpmFixture {
  const folder = join(repoRoot, "build/npm");
  rmSync(folder, { recursive: true, force: true });
  for (const each of ["packages", "uses"]) {
    cpSync(join(FIXTURES, "npm", each), join(folder, each), { recursive: true });
  }
  mkdirSync(join(folder, "node_modules"));
  for (const each of readdirSync(join(folder, "packages"))) {
    symlinkSync(join("../packages", each), join(folder, "node_modules", each), "dir");
  }
  return { folder, packages: join(repoRoot, "node_modules") };
}

/**
 * Installs a fixture, by default that of the npm packages, unless it has been installed for this very lock file.
 * `own` are folders that the lock file does not cover; from those in `local`, packages are installed. In CI it
 * throws where it otherwise skips.
 */
export async function npmFixture(
  name = "npm",
  own: readonly string[] = ["packages", "uses"],
  local: readonly string[] = ["packages"],
): Promise<NpmFixture> {
  try {
    const folder = await installed(name, own, local);
    return { folder, packages: folder };
  } catch (error) {
    if (process.env["CI"] === "true") throw error;
    return { skip: `Needs packages of tests/fixtures/${name}: ${(error as Error).message.slice(0, 1000)}` };
  }
}

/**
 * A command line that runs `node` with `folder` empty, as it would be on another machine. Returns undefined if
 * this process may not make mount namespaces; in CI it throws instead.
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

async function installed(name: string, own: readonly string[], local: readonly string[]): Promise<string> {
  const fixture = join(FIXTURES, name);
  const files = ["package.json", "package-lock.json", ".npmrc"];
  const hash = createHash("sha256");
  for (const file of files) hash.update(readFileSync(join(fixture, file)));
  const folder = join(INSTALLED, name, hash.digest("hex").slice(0, 16));
  if (!existsSync(folder)) await install(fixture, folder, [...files, ...local]);
  // Our own folders may have changed without the lock file.
  for (const each of own) {
    rmSync(join(folder, each), { recursive: true, force: true });
    cpSync(join(fixture, each), join(folder, each), { recursive: true });
  }
  return folder;
}

async function install(fixture: string, folder: string, files: readonly string[]): Promise<void> {
  const draft = `${folder}.${process.pid}`;
  mkdirSync(draft, { recursive: true });
  try {
    for (const file of files) cpSync(join(fixture, file), join(draft, file), { recursive: true });
    const args = ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"];
    await promisify(execFile)("npm", args, { cwd: draft, env: npmEnv(), timeout: INSTALL_LIMIT_MS });
    const all = dirname(folder);
    for (const other of readdirSync(all)) {
      if (!draft.endsWith(other)) rmSync(join(all, other), { recursive: true, force: true });
    }
    renameSync(draft, folder);
  } finally {
    rmSync(draft, { recursive: true, force: true });
  }
}
