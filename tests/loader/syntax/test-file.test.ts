import assert from "node:assert/strict";
import { test } from "node:test";
import { mayHoldTests, withoutTests } from "../../../src/loader/syntax/test-file.ts";

/** Removes the spaces that keep columns. */
const squeezed = (text: string): string =>
  text
    .replace(/ +/g, " ")
    .replace(/ ?\n ?/g, "\n")
    .trim();

test("withoutTests removes calls that register tests, anywhere at the top level", () => {
  const source = `import { expect, test } from "vitest";
export function here() { it("is no test", () => 1); }
describe.each([1, 2])("a", () => { test("b", () => 1); });
for (const n of [1, 2]) it(\`c \${n}\`, () => 1);
if (true) { test.skip("d", () => 1); setUp(); }
await test("e", () => 1);
setUp();`;
  const left = withoutTests(source, "module");
  assert.equal(left.length, source.length);
  assert.equal(
    squeezed(left),
    `;\nexport function here() { it("is no test", () => 1); }\n;\nfor (const n of [1, 2]) ;\nif (true) { ; setUp(); }\n;\nsetUp();`,
  );
});

test("withoutTests knows test functions by other names, and imports in their compiled forms", () => {
  const module = `import * as runner from "node:test"; import check from "@jest/globals"; runner.it("a"); check("b"); other("c");`;
  assert.equal(squeezed(withoutTests(module, "module")), '; ; ; ; other("c");');
  const script = `var import_vitest = __toESM(require("vitest")); const { it: check } = require("node:test");
(0, import_vitest.test)("a", () => 1); check("b"); exports.fn = () => 1;`;
  assert.equal(squeezed(withoutTests(script, "commonjs")), "; ;\n; ; exports.fn = () => 1;");
});

test("withoutTests leaves a file's own functions alone", () => {
  const source = `function test() {} const it = make(); test("a"); it("b"); context.use(1);`;
  assert.equal(
    squeezed(withoutTests(source, "module")),
    `function test() {} const it = make(); test("a"); it("b"); ;`,
  );
  assert.equal(withoutTests("no ( javascript", "module"), "no ( javascript");
});

test("withoutTests leaves names alone that a part of the file declares", () => {
  const source = `for (const test of checks) test.run(); { const setup = make(); setup("a"); } it("b");
try { class context {} context.use(1); } catch (before) { before.toString(); } for (let [{ vi }] = []; ; ) vi.fn();
describe("c", () => { const it = 1; });`;
  assert.equal(
    squeezed(withoutTests(source, "module")),
    `for (const test of checks) test.run(); { const setup = make(); setup("a"); } ;
try { class context {} context.use(1); } catch (before) { before.toString(); } for (let [{ vi }] = []; ; ) vi.fn();
;`,
  );
});

test("withoutTests leaves no value of a test runner in variables", async () => {
  const source = `import { test as base, vi } from "vitest";
export const test = base.extend({
  n: async ({}, use) => use(1) }); export const line = new Error().stack.split("\\n")[1];
const onLinux = process.platform === "linux" ? base : base.skip;
const read = vi.fn(); read.mockReturnValue(1);
const { a } = vi.hoisted(() => ({ a: 1 })), [b] = vi.importActual("b"), mocks = { read: vi.fn() };
test("c", () => 1); test.describe("d", () => 1); onLinux.each([1])("e", () => 1);
export const see = async () => [test.each([1])("x") === test, (await onLinux("y")) === onLinux, read, a, b, mocks];
export const own = { test: 1, vi: () => vi.fn() };`;
  const left = withoutTests(source, "module");
  const module = await import(`data:text/javascript,${encodeURIComponent(left)}`);
  assert.deepEqual(await module.see(), [true, true, undefined, undefined, undefined, undefined]);
  assert.equal(module.own.test, 1);
  assert.match(module.line, /:3:\d+\)?$/);
});

test("withoutTests keeps a variable whose value comes from a function of the file", () => {
  const source = `const a = setup(); function setup() {}`;
  assert.equal(withoutTests(source, "module"), source);
});

test("mayHoldTests is true for files with tests, and false for text that resembles them", () => {
  assert.ok(mayHoldTests('describe("a", () => {'));
  assert.ok(mayHoldTests('  test.each([1])("a", () => {'));
  assert.ok(mayHoldTests('import { expect as check } from "vitest";'));
  assert.ok(!mayHoldTests('if (/a/.test("a")) run(); import { it } from "./it.ts"; const test = 1;'));
});
