// node --import test-end.mjs run-files.mjs <concurrency> <timeout ms> files…: what `node --test` does, which would take the
// files in the order of their names; the longest should not come last, when nothing is left to run beside them.
import { setMaxListeners } from "node:events";
import { run } from "node:test";
import { spec } from "node:test/reporters";

const [concurrency, timeout, ...files] = process.argv.slice(2);
const abort = new AbortController();
// Each file listens to it.
setMaxListeners(0, abort.signal);
// The files' processes are ended, and the report has what there is until then.
process.once("SIGTERM", () => abort.abort());
run({ files, concurrency: Number(concurrency), timeout: Number(timeout), signal: abort.signal })
  .on("test:fail", () => {
    process.exitCode = 1;
  })
  .compose(new spec())
  .pipe(process.stdout);
