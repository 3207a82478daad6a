// Preloaded by test files: if something still holds a file open when its tests are over, this says what, and fails the
// file. Node's own --test-force-exit would end the file without a word, and loses results that are still on their way to
// the runner (https://github.com/nodejs/node/issues/64833).
import { after } from "node:test";
import { isMainThread } from "node:worker_threads";

const LIMIT_S = 60;

// Neither in the runner, nor in processes that a test starts.
if (isMainThread && process.env.NODE_TEST_CONTEXT !== undefined && process.argv[1]?.endsWith(".test.js")) {
  // This hook is the first of all. It counts second by second, so that work that blocks the other hooks, such as
  // removing very many files, counts as one second.
  let seconds = 0;
  after(() => void setInterval(() => ++seconds === LIMIT_S && fail(), 1000).unref());
}

function fail() {
  const held = process.getActiveResourcesInfo().join(", ");
  console.error(`${process.argv[1]}: its tests are over for ${LIMIT_S} s, and it is held by ${held}`);
  process.exit(1);
}
