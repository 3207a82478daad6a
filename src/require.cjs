/**
 * The file that `require("mitogen")` loads. The library is an ES module, which Node's `require` takes from 20.19
 * and 22.12 on. Node's own `require` is used even under Jest, because Jest's takes no ES modules on most Nodes.
 */
const { createRequire } = (nodeProcess().getBuiltinModule ?? require)("node:module");

try {
  module.exports = createRequire(__filename)("./index.js");
} catch (cause) {
  if (cause.code !== "ERR_REQUIRE_ESM") throw cause;
  const message = `Cannot require("mitogen") with Node ${process.versions.node}: it is an ES module, which require() loads from Node 20.19 and 22.12 on; use a newer Node, or await import("mitogen")`;
  throw Object.assign(new Error(message, { cause }), { code: cause.code });
}

/** In Jest, `process` is a copy that returns Jest's modules. But its functions are Node's, and lead to Node's own. */
function nodeProcess() {
  if (process.env.JEST_WORKER_ID === undefined) return process;
  try {
    return process.nextTick.constructor("return process")();
  } catch {
    return process;
  }
}
