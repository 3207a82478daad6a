// Preloaded by the files of tests: when a file's tests are over and something still holds it, that is told
// and fails it. Node's own --test-force-exit would end it without a word, and loses results that are still on
// their way to the runner (https://github.com/nodejs/node/issues/64833).
import { after } from "node:test";
import { isMainThread } from "node:worker_threads";

const LIMIT_S = 60;

// Not the runner, nor what a test starts.
if (isMainThread && process.env.NODE_TEST_CONTEXT !== undefined && process.argv[1]?.endsWith(".test.js")) {
  // This hook is the first of all. Second by second: what blocks the others, removing very many files say,
  // counts as one.
  let seconds = 0;
  after(() => void setInterval(() => ++seconds === LIMIT_S && fail(), 1000).unref());
}

function fail() {
  const held = process.getActiveResourcesInfo().join(", ");
  console.error(`${process.argv[1]}: its tests are over for ${LIMIT_S} s, and it is held by ${held}`);
  process.exit(1);
}
