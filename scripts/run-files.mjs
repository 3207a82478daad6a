// node --import test-end.mjs run-files.mjs <concurrency> <timeout ms> <options> files…: what `node --test` does, which would take
// the files in the order of their names; the longest should not come last, when nothing is left to run beside them. <options>
// are a JSON array of those of node:test: given to this process, its patterns would select among the files.
import { setMaxListeners } from "node:events";
import { Transform } from "node:stream";
import { run } from "node:test";
import { dot, junit, lcov, spec, tap } from "node:test/reporters";
import { parseArgs } from "node:util";

const [concurrency, timeout, args, ...files] = process.argv.slice(2);
const { values } = parseArgs({
  args: JSON.parse(args),
  options: {
    "test-concurrency": { type: "string", default: concurrency },
    "test-name-pattern": { type: "string", multiple: true },
    "test-only": { type: "boolean", default: false },
    "test-reporter": { type: "string", default: "spec" },
    "test-skip-pattern": { type: "string", multiple: true }, // Node 22 and newer
    "test-timeout": { type: "string", default: timeout },
  },
});
const Reporter = { dot, junit, lcov, spec, tap }[values["test-reporter"]];
if (Reporter === undefined) throw new Error(`There is no reporter ${values["test-reporter"]}`);
const abort = new AbortController();
// Each file listens to it.
setMaxListeners(0, abort.signal);
// The files' processes are ended, and the report has what there is until then.
process.once("SIGTERM", () => abort.abort());
run({
  files,
  concurrency: Number(values["test-concurrency"]),
  timeout: Number(values["test-timeout"]),
  only: values["test-only"],
  testNamePatterns: values["test-name-pattern"],
  testSkipPatterns: values["test-skip-pattern"],
  signal: abort.signal,
})
  .on("test:fail", () => {
    process.exitCode = 1;
  })
  .compose(Reporter.prototype instanceof Transform ? new Reporter() : Reporter)
  .pipe(process.stdout);
