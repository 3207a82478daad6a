/**
 * Installs a small application on many machines at once, from this one file: `install-app.ts [user@]host …`.
 * Without a host it does so twice on local contexts, in a folder that it removes again.
 *
 * The steps change only what is not as it should be, so a second run changes nothing.
 */

import { execFileSync } from "node:child_process";
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { homedir, tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { type Context, logToFile, type Router, runWithRouter } from "mitogen";

export interface Settings {
  /** Where it goes; the home directory of the account if absent. */
  root?: string;
  greeting: string;
}

export interface Installed {
  changed: string[];
  /** What the application said when it was started. */
  answer: string;
}

/** Runs on the target. Nothing has to be there but Node. */
export function install({ root = homedir(), greeting }: Settings): Installed {
  const folder = join(root, "greeter");
  const program = join(folder, "bin", "greet");
  const changed = [
    ensureFile(join(folder, "settings.json"), `${JSON.stringify({ greeting })}\n`, 0o600),
    ensureFile(program, PROGRAM, 0o755),
  ].filter((path) => path !== undefined);
  console.log(`${changed.length} files changed in ${folder}`);
  const answer = execFileSync(process.execPath, [program], { encoding: "utf8" }).trim();
  return { changed, answer };
}

/** Returns the path if the file had to be written. */
function ensureFile(path: string, text: string, mode: number): string | undefined {
  if (readIfThere(path) === text) return undefined;
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, text);
  chmodSync(path, mode);
  return path;
}

function readIfThere(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
    return undefined;
  }
}

const PROGRAM = `#!/usr/bin/env node
const { join } = require("path");
const { greeting } = require(join(__dirname, "..", "settings.json"));
console.log(greeting + " from " + process.platform);
`;

async function main(router: Router, hosts: readonly string[]): Promise<void> {
  if (hosts.length === 0) {
    const root = mkdtempSync(join(tmpdir(), "install-app-"));
    try {
      for (const remoteName of ["first-run", "second-run"]) {
        await report(await router.local({ remoteName }), { root, greeting: "Hello" });
      }
    } finally {
      rmSync(root, { recursive: true });
    }
    return;
  }
  // Every host on its own: one that fails does not keep the others from being done.
  const outcomes = await Promise.allSettled(
    hosts.map(async (host) => report(await login(router, host), { greeting: "Hello" })),
  );
  for (const [index, outcome] of outcomes.entries()) {
    if (outcome.status === "fulfilled") continue;
    console.error(`${hosts[index]}: ${outcome.reason}`);
    process.exitCode = 1;
  }
}

async function report(context: Context, settings: Settings): Promise<void> {
  const { changed, answer } = await context.call(install, settings);
  console.log(`${context.name}: ${changed.length} files changed, it says "${answer}"`);
}

function login(router: Router, host: string): Promise<Context> {
  const at = host.lastIndexOf("@");
  const hostname = host.slice(at + 1);
  return at < 0 ? router.ssh({ hostname }) : router.ssh({ hostname, username: host.slice(0, at) });
}

logToFile();
await runWithRouter(main, process.argv.slice(2));
