import assert from "node:assert/strict";
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after } from "node:test";
import { type ExecOptions, type Router, StreamError } from "../../src/index.ts";
import { nodes, repoRoot } from "./lab.ts";
import { NodelessMachine, type NodelessOptions, nodelessSkip } from "./nodeless.ts";

export { nodelessSkip };

/** The smallest runtime in the lab. */
export const runtimes: Readonly<Record<string, string>> =
  nodes[12] === undefined ? {} : { "linux-x64": nodes[12] };

/** The folder of a test file's machines. */
export interface MachineRoom {
  readonly parent: string;
  machine(options?: NodelessOptions): NodelessMachine;
}

/**
 * Makes a folder in `under`, which is removed after the file's last test. Call it once, at the top level of a test
 * file. Until then, packs are kept in a folder that all test files share, so that a runtime is packed once for all
 * of them. The next build removes that folder.
 */
export function machineRoom({ under = tmpdir() }: { under?: string } = {}): MachineRoom {
  const parent = mkdtempSync(join(under, "mitogen-provision-"));
  chmodSync(parent, 0o755);
  const before = process.env.XDG_CACHE_HOME;
  process.env.XDG_CACHE_HOME = join(repoRoot, "build/cache");
  mkdirSync(process.env.XDG_CACHE_HOME, { recursive: true, mode: 0o700 });
  after(() => {
    if (before === undefined) delete process.env.XDG_CACHE_HOME;
    else process.env.XDG_CACHE_HOME = before;
    rmSync(parent, { recursive: true, force: true });
  });
  let machines = 0;
  return {
    parent,
    machine: (options) => new NodelessMachine(join(parent, `root ${++machines}`), options),
  };
}

/** The copies of node below a folder, and the parts and scripts that were left there. */
export function kept(folder: string): { copies: string[]; parts: string[] } {
  if (!existsSync(folder)) return { copies: [], parts: [] };
  const all = readdirSync(folder, { recursive: true, encoding: "utf8" });
  return {
    copies: all.filter((name) => /^\w{64}\/node$/.test(name)),
    parts: all.filter((name) => /part|try/.test(name)),
  };
}

/** A new folder below `parent` for PATH, with the commands that every shell needs and the named ones. */
export function pathWith(parent: string, ...names: readonly string[]): string {
  const folder = mkdtempSync(join(parent, "path-"));
  for (const name of ["sh", "uname", "id", "setsid", ...names]) {
    const path = ["/usr/bin", "/bin"].map((each) => join(each, name)).find((each) => existsSync(each));
    assert.ok(path !== undefined, `this machine has no ${name}`);
    symlinkSync(path, join(folder, name));
  }
  return folder;
}

/** The error of a connect that fails. */
export async function failureOf(router: Router, options: ExecOptions): Promise<StreamError> {
  try {
    await router.exec({ timeoutMs: 60_000, ...options });
  } catch (error) {
    assert.ok(error instanceof StreamError, String(error));
    return error;
  }
  throw new Error("It has connected");
}
