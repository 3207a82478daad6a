import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before } from "node:test";
import { type Context, type RunSshOptions, runSsh, type ToolResult } from "../../src/index.ts";
import { contents } from "../fixtures/remote/trees.ts";
import { makeTree } from "./file-trees.ts";

/** The folder for everything that this test file makes. */
export const folder: string = mkdtempSync(join(tmpdir(), "mitogen-fakessh-"));
/** The folder for temporary files. A file that stays in it was left by a tool, or for a tool. */
export const temporary: string = join(folder, "tmp");
/** The tree that the tools copy. */
export const tree: string = join(folder, "tree");
process.env["TMPDIR"] = temporary;
// Not in `temporary`, because the socket of the router's short ways lasts as long as the router.
process.env["XDG_RUNTIME_DIR"] = folder;
mkdirSync(temporary);
before(() => makeTree(tree));
after(() => rmSync(folder, { recursive: true, force: true }));

/** A new folder. */
export const fresh = (name: string): string => mkdtempSync(join(folder, `${name}-`));

/** Runs a tool, and asserts that it leaves no temporary files. */
export async function run(
  context: Context,
  argv: string[],
  options: RunSshOptions = {},
): Promise<ToolResult> {
  const result = await runSsh(context, argv, { stdio: "collect", timeoutMs: 120_000, ...options });
  assert.deepEqual(readdirSync(temporary), [], `${argv[0]} left files`);
  return result;
}

/** Like `run`, and asserts that the tool succeeds. Returns its output. */
export async function succeed(
  context: Context,
  argv: string[],
  options: RunSshOptions = {},
): Promise<string> {
  const { code, signal, stdout, stderr } = await run(context, argv, options);
  assert.deepEqual({ code, signal }, { code: 0, signal: null }, `${argv.join(" ")}: ${stderr}`);
  return stdout;
}

/** Runs git here, without runSsh. */
export function git(...args: string[]): void {
  const settings = ["user.name=a", "user.email=a@example.com", "init.defaultBranch=main"];
  const { status, stderr } = spawnSync("git", [...settings.flatMap((each) => ["-c", each]), ...args], {
    encoding: "utf8",
  });
  assert.equal(status, 0, stderr);
}

/** The contents of a tree, with only the part of a mode that git keeps: whether a file can be executed. */
export function filesOfGit(root: string): string[] {
  return contents(root)
    .filter((line) => !line.startsWith(".git"))
    .map((line) => line.replace(/ 100[64]\d\d /, " "));
}
