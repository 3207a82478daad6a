/** A remote failure is reported as it is even where a program or a context has changed what all errors share. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { describe, it } from "node:test";
import { CallError, type Context, Router } from "../../src/index.ts";
import { collectLogs } from "../support/collect-logs.ts";
import { sampleOf, targetsOf } from "../support/extent.ts";
import { nodes, repoRoot } from "../support/lab.ts";
import { checkLeaks } from "../support/leak-check.ts";
import { runProgram } from "../support/run-program.ts";

checkLeaks({ ignoreCommand: /esbuild/ });

const { change, changes, count, fail } = (await import(
  join(repoRoot, "tests/fixtures/programs/e2e/changes.mjs")
)) as {
  changes: Readonly<Record<string, () => unknown>>;
  change(what: string): void;
  fail(): never;
  count(): Iterable<number>;
};

const FAILURE = {
  name: "CallError",
  message: "RangeError: no more",
  code: "EODD",
  detail: ["toString", "valueOf"],
  cause: "RangeError",
  stack: "string",
};

async function checkFailures(context: Context, what: string): Promise<void> {
  await context.call(change, what);
  const error = await context.call(fail).catch((each: unknown) => each);
  assert.ok(error instanceof CallError, what);
  const { name, message, code, cause, stack } = error;
  const { detail } = error as unknown as { detail: object };
  assert.deepEqual(
    { name, message, code, cause: (cause as Error).name, detail: Object.keys(detail), stack: typeof stack },
    FAILURE,
    what,
  );
  const logs = collectLogs("error");
  context.callNoReply(fail);
  // The library's code for streams is loaded after the change.
  const values: number[] = [];
  const reading = (async () => {
    for await (const value of context.stream(count)) values.push(value);
  })();
  await assert.rejects(reading, { name: "CallError", message: "RangeError: no more" }, what);
  assert.deepEqual(values, [1]);
  assert.equal(logs.records.length, 1, what);
  logs.stop();
}

const majors = targetsOf([12, 20, 26]).filter((major) => nodes[major] !== undefined);

describe("a failure in a context where errors have been changed:", () => {
  for (const major of majors.length > 0 ? majors : [0]) {
    const nodePath = nodes[major] ?? process.execPath;
    it(`by its own code, on Node ${major || "of this program"}`, async () => {
      await using router = new Router();
      for (const what of sampleOf(9, Object.keys(changes))) {
        const context = await router.local({ nodePath });
        await checkFailures(context, what);
        await context.shutdown();
      }
    });

    it(`by --frozen-intrinsics, on Node ${major || "of this program"}`, async () => {
      await using router = new Router();
      await checkFailures(await router.local({ nodePath: [nodePath, "--frozen-intrinsics"] }), "nothing");
    });
  }
});

describe("a program where errors have been changed sees the failures of a context, a thread and itself:", () => {
  const runs: [title: string, what: string, nodeArgs: string[]][] = [
    ["by --frozen-intrinsics", "nothing", ["--frozen-intrinsics"]],
    ...Object.keys(changes).map((what): [string, string, string[]] => [what, what, []]),
  ];
  for (const [title, what, nodeArgs] of sampleOf(6, runs)) {
    it(title, async () => {
      const { stdout, stderr, code } = await runProgram("e2e/changed-errors.mjs", { nodeArgs, args: [what] })
        .ended;
      assert.equal(code, 0, stderr);
      const each = [FAILURE, FAILURE, [1, "CallError", "RangeError: no more", "CallError"]];
      const lines = stdout.trim().split("\n");
      // The 3: one ERROR for each callNoReply that failed.
      assert.deepEqual(
        lines.map((line) => JSON.parse(line) as unknown),
        [...each, ...each, ...each, 3],
      );
    });
  }
});
