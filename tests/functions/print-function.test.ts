import assert from "node:assert/strict";
import { test } from "node:test";
import { printFunction, printPath } from "../../src/functions/print-function.ts";

test("printFunction and printPath format a function as people write it", () => {
  assert.equal(printPath(["Disk", "freeBytes"]), "Disk.freeBytes");
  assert.equal(printPath([]), "default");
  assert.equal(printFunction({ module: "node:os", path: ["hostname"] }), "hostname of node:os");
  assert.equal(printFunction({ module: "file:///a.cjs", path: [] }), "default of file:///a.cjs");
});
