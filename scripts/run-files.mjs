// node --import test-end.mjs run-files.mjs <concurrency> <timeout ms> files…: what `node --test` does, which would take the
// files in the order of their names; the longest should not come last, when nothing is left to run beside
// them.
import { setMaxListeners } from "node:events";
import { Transform } from "node:stream";
import { run } from "node:test";
import { dot, junit, lcov, spec, tap } from "node:test/reporters";

const [concurrency, timeout, ...files] = process.argv.slice(2);
/** One of the options of node:test that `run` does not take from the command line by itself. */
const option = (name) =>
  process.execArgv.find((word) => word.startsWith(`--${name}=`))?.slice(name.length + 3);
const Reporter = { dot, junit, lcov, spec, tap }[option("test-reporter") ?? "spec"];
const abort = new AbortController();
// Each file listens to it.
setMaxListeners(0, abort.signal);
// The files' processes are ended, and the report has what there is until then.
process.once("SIGTERM", () => abort.abort());
run({
  files,
  concurrency: Number(option("test-concurrency") ?? concurrency),
  timeout: Number(option("test-timeout") ?? timeout),
  signal: abort.signal,
})
  .on("test:fail", () => {
    process.exitCode = 1;
  })
  .compose(Reporter.prototype instanceof Transform ? new Reporter() : Reporter)
  .pipe(process.stdout);
