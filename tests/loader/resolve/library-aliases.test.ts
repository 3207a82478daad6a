import assert from "node:assert/strict";
import { test } from "node:test";
import { libraryAliases } from "../../../src/loader/resolve/library-aliases.ts";
import { temporaryTree } from "../../support/temporary-tree.ts";

const index = new URL("../../../src/index.js", import.meta.url).pathname;

const at = temporaryTree({
  "package.json": JSON.stringify({
    type: "module",
    imports: { "#mitogen": "./link.js", "#other": "./other.js" },
  }),
  "link.js": `→ ${index}`,
  "other.js": "",
  "main.js": "",
});

test("libraryAliases finds the other names by which a text imports this library", () => {
  const text = `
    import { a } from "mitogen"; import b from './link.js'; import "./other.js";
    export * from "#mitogen"; const c = require( "${index}" ), d = await import("#other"), e = import("#nowhere");
    const f = "./link.js";`;
  assert.deepEqual(libraryAliases(at("main.js"), text), ["./link.js", "#mitogen", index]);
});
