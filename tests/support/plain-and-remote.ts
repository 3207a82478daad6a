import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { dirname } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { nodes } from "./lab.ts";
import { temporaryTree } from "./temporary-tree.ts";

/** A Node for which all new syntax is lowered, two that distributions ship, and the newest. */
const TARGETS = ["12", "18", "20", "26"];

interface Outcome {
  readonly name: string;
  readonly target: string;
  readonly plain: string;
  readonly remote: string;
}

/**
 * Runs a program that calls every export of its module `cases` itself and in a context of each target, and makes
 * a test for each target that compares the results. `loader` is the loader that the program runs under: `"tsx"`.
 */
export function plainAndRemote(
  title: string,
  cases: string,
  files: Record<string, string>,
  { loader, skip = false }: { readonly loader?: string; readonly skip?: string | false } = {},
): void {
  const at = temporaryTree({ ...files, "driver.mjs": driver(cases) });
  const targets = TARGETS.flatMap((major) => (nodes[major] === undefined ? [] : [[major, nodes[major]]]));
  if (targets.length === 0) targets.push([process.versions.node, process.execPath]);
  let outcomes: Promise<Outcome[]> | undefined;
  for (const [target = ""] of targets) {
    test(`${title}: the same in a context of Node ${target}`, { skip }, async () => {
      outcomes ??= run(at("driver.mjs"), loader, Object.fromEntries(targets));
      const own = (await outcomes).filter((outcome) => outcome.target === target);
      assert.ok(own.length > 0);
      const shown = (side: "plain" | "remote") =>
        Object.fromEntries(own.map((outcome) => [outcome.name, outcome[side]]));
      assert.deepEqual(shown("remote"), shown("plain"));
    });
  }
}

/** JSON of what a case returns, or the name, code and first line of what it throws. */
function driver(cases: string): string {
  const index = new URL("../../src/index.js", import.meta.url).href;
  return `
    import { Router } from ${JSON.stringify(index)};
    const cases = await import(${JSON.stringify(cases)});
    const outcome = async (call) => {
      try {
        return JSON.stringify(await call());
      } catch (error) {
        const { code, message } = error.cause ?? error;
        return "threw " + code + ": " + message.split("\\n")[0];
      }
    };
    const router = new Router();
    const outcomes = [];
    for (const [target, nodePath] of Object.entries(JSON.parse(process.argv[2]))) {
      const context = await router.local({ nodePath });
      for (const [name, fn] of Object.entries(cases)) {
        if (typeof fn !== "function") continue;
        const plain = await outcome(fn);
        const remote = await outcome(() => context.with({ timeoutMs: 60_000 }).call(fn));
        outcomes.push({ name, target, plain, remote });
      }
    }
    await router.shutdown();
    console.log(JSON.stringify(outcomes));`;
}

async function run(
  id: string,
  loader: string | undefined,
  targets: Record<string, string>,
): Promise<Outcome[]> {
  const path = fileURLToPath(id);
  const imported = loader === undefined ? [] : ["--import", import.meta.resolve(loader)];
  const { NODE_TEST_CONTEXT: _, ...env } = process.env;
  const child = spawn(process.execPath, ["--no-warnings", ...imported, path, JSON.stringify(targets)], {
    cwd: dirname(path),
    env,
    stdio: ["ignore", "pipe", "inherit"],
  });
  let output = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    output += text;
  });
  await once(child, "close");
  return JSON.parse(output) as Outcome[];
}
