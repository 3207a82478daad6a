import assert from "node:assert/strict";
import { test } from "node:test";
import { FunctionRef } from "../../src/functions/callable.ts";
import { ref } from "../../src/functions/ref.ts";

test("ref names a function by the URL of its module and its path in the exports", () => {
  const cases: [string | URL, string, string, string[]][] = [
    ["file:///srv/app/tasks.ts", "backup", "file:///srv/app/tasks.ts", ["backup"]],
    [new URL("./x.ts", "file:///srv/app/tasks.ts"), "default", "file:///srv/app/x.ts", ["default"]],
    ["node:os", "hostname", "node:os", ["hostname"]],
    ["node:fs", "promises.readFile", "node:fs", ["promises", "readFile"]],
    ["global", "Date.now", "global", ["Date", "now"]],
  ];
  for (const [moduleUrl, exportPath, module, path] of cases) {
    const reference = ref(moduleUrl, exportPath);
    assert.ok(reference instanceof FunctionRef);
    assert.deepEqual([reference.module, reference.path], [module, path]);
  }
});

test("ref imports and checks nothing", () => {
  assert.equal(ref("file:///there/is/no/such/file.js", "nothing").path.length, 1);
});

test("ref refuses a module that is not an absolute URL, with the cure", () => {
  for (const module of [
    "./tasks.ts",
    "/srv/tasks.ts",
    "lodash",
    "os",
    "",
    "file:tasks.ts",
    "http://x/y.js",
    "data:,",
  ]) {
    assert.throws(() => ref(module, "f"), {
      name: "TypeError",
      message: `Cannot refer to module "${module}": it must be an absolute file: URL or a node: module; use new URL("./x.ts", import.meta.url)`,
    });
  }
});

test("ref refuses an export path with an empty name", () => {
  for (const path of ["", ".", "a.", ".a", "a..b"]) {
    assert.throws(() => ref("node:os", path), {
      name: "TypeError",
      message: `Cannot refer to export "${path}" of node:os: an empty name in the path`,
    });
  }
});
