// node --import test-end.mjs run-files.mjs <concurrency> <timeout ms> <options> files…: does what `node --test` does, but in
// the given order. `node --test` takes the files by name, so the longest may come last, when nothing is left to run beside
// them. <options> is a JSON array of options of node:test: given to this process itself, patterns would select among the
// files.
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
// Each file listens to the signal.
setMaxListeners(0, abort.signal);
// Ends the files' processes. The report has the results until then.
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
