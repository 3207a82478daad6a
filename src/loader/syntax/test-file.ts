import type { ModuleFormat } from "../module-record.ts";
import type { Ast } from "./ast.ts";
import { isDefinition, plainCallee } from "./entry-expressions.ts";
import { parseFile } from "./parser.ts";
import { patternNames } from "./pattern-names.ts";

/** Packages and modules whose functions register tests. */
const RUNNERS = /^(?:vitest|node:test|mocha|@jest\/globals|bun:test)$/;

/** The globals of test runners, which Node lacks. In a context, a call of one could only fail. */
const GLOBALS: ReadonlySet<string> = new Set([
  ...["describe", "it", "test", "suite", "specify", "context", "bench", "jest", "vi"],
  ...["before", "after", "beforeEach", "afterEach", "beforeAll", "afterAll", "setup", "teardown"],
  ...["suiteSetup", "suiteTeardown", "fdescribe", "fit", "xdescribe", "xit", "xtest", "xspecify", "xcontext"],
]);

const NAMES = [...GLOBALS].join("|");
const CALL = new RegExp(`^[\\t ]*(?:${NAMES})[.(]`, "m");
const IMPORT = /["'](?:vitest|node:test|mocha|@jest\/globals|bun:test)["']/;

/**
 * Replaces a test function that is a variable of the file, such as one made by `test.extend()`. Another file may
 * import it to register tests. Calling the replacement, or any member of it, does nothing.
 */
const NO_TESTS =
  '((s) => (s = new Proxy(() => {}, { get: (_, k) => (k === "then" ? void 0 : s), apply: () => s })))()';

/** Whether {@link withoutTests} needs to parse a text. */
export function mayHoldTests(text: string): boolean {
  return CALL.test(text) || IMPORT.test(text);
}

/**
 * Removes from a module the imports of test runners, the values that its variables take from them, and the calls at
 * its top level that register tests: a context that imports the module for one function has no tests to run. What
 * is left keeps its line and, almost always, its column. A text that cannot be parsed is returned unchanged.
 */
export function withoutTests(source: string, format: ModuleFormat): string {
  const program = parse(source, format);
  if (program === undefined) return source;
  const declared = new Set<string>();
  const runners = new Set<string>();
  const blanks: Blank[] = [];
  const isRunner = (name: string): boolean => runners.has(name) || (GLOBALS.has(name) && !declared.has(name));
  for (const statement of program.body) {
    const names = declaredNames(statement);
    for (const name of [...names, ...innerNames(statement)]) declared.add(name);
    if (!loadsRunner(statement)) continue;
    for (const name of names) runners.add(name);
    blanks.push({ ...statement, text: ";" });
  }
  for (const statement of program.body) {
    if (loadsRunner(statement)) continue;
    for (const { id, init } of (statement.declaration ?? statement).declarations ?? []) {
      if (!mentions(init, isRunner)) continue;
      for (const name of patternNames(id)) runners.add(name);
      blanks.push({ ...init, text: isTestFunction(init) ? NO_TESTS : (NOTHING[id.type] ?? "void 0") });
    }
  }
  visit(program.body, (statement) => {
    if (isRunner(rootOf(statement.expression))) blanks.push({ ...statement, text: ";" });
  });
  let result = "";
  let from = 0;
  for (const { start, end, text } of blanks.sort((a, b) => a.start - b.start)) {
    result += source.slice(from, start) + blanked(source.slice(start, end), text);
    from = end;
  }
  return result + source.slice(from);
}

interface Blank {
  readonly start: number;
  readonly end: number;
  /** The text in its place. */
  readonly text: string;
}

/** The text that replaces a value of a test runner, such as a mock, if a pattern takes the value apart. */
const NOTHING: Record<string, string> = { ObjectPattern: "{}", ArrayPattern: "[]" };

/** Replaces `source` by `text`. What follows keeps its line; and its column, if the first line has room for `text`. */
function blanked(source: string, text: string): string {
  const spaces = source.replace(/[^\r\n\u2028\u2029]/g, " ");
  const firstLine = spaces.search(/[^ ]/);
  return text + spaces.slice(firstLine < 0 ? text.length : Math.min(text.length, firstLine));
}

/** Whether a value is a test function, `base.extend({ … })` or `isLinux ? it : it.skip`, and not a mock. */
function isTestFunction({ type, callee }: Ast): boolean {
  if (type !== "CallExpression") return /^(?:Conditional|Member)Expression$|^Identifier$/.test(type);
  return callee.type === "MemberExpression" && callee.property.name === "extend";
}

/** Whether evaluating an expression reads one of these variables. */
function mentions(node: Ast, isWanted: (name: string) => boolean): boolean {
  if (typeof node !== "object" || node === null) return false;
  if (node.type === "Identifier") return isWanted(node.name);
  if (typeof node.type === "string" && isDefinition(node)) return false;
  const isKey = (name: string) => (name === "property" || name === "key") && !node.computed;
  return Object.entries(node).some(([name, child]) => !isKey(name) && mentions(child, isWanted));
}

function declaredNames(statement: Ast): string[] {
  if (statement.type === "ImportDeclaration") return statement.specifiers.map((one: Ast) => one.local.name);
  const declaration = statement.declaration ?? statement;
  const patterns = declaration.declarations?.map((one: Ast) => one.id) ?? [declaration.id];
  return patterns.flatMap(patternNames);
}

/**
 * The names that a statement declares for its own parts, as in `for (const test of checks) test.run();`. They are known
 * for the whole file: a test that stays registers nothing in a context, but work that is removed is missed.
 */
function innerNames(node: Ast): string[] {
  if (typeof node !== "object" || node === null) return [];
  if (Array.isArray(node)) return node.flatMap(innerNames);
  if (typeof node.type !== "string") return [];
  const own =
    node.type === "VariableDeclarator" || isDefinition(node)
      ? patternNames(node.id)
      : node.type === "CatchClause"
        ? patternNames(node.param)
        : [];
  return isDefinition(node) ? own : [...own, ...Object.values(node).flatMap(innerNames)];
}

/**
 * Whether a statement is `import { test } from "vitest"` or `const { test } = require("node:test")`, perhaps
 * inside a compiler's interop helper.
 */
function loadsRunner(statement: Ast): boolean {
  if (statement.type === "ImportDeclaration") return RUNNERS.test(statement.source.value);
  if (statement.type !== "VariableDeclaration" || statement.declarations.length !== 1) return false;
  let { init } = statement.declarations[0];
  while (init?.type === "CallExpression" && init.callee.name !== "require") init = init.arguments[0];
  return init?.type === "CallExpression" && RUNNERS.test(String(init.arguments[0]?.value));
}

/** Visits every expression that is a statement and runs when the module is evaluated. */
function visit(node: Ast, found: (statement: Ast) => void): void {
  if (typeof node !== "object" || node === null) return;
  if (node.type === "ExpressionStatement") found(node);
  else if (typeof node.type === "string" ? isDefinition(node) : !Array.isArray(node)) return;
  else for (const child of Object.values(node)) visit(child, found);
}

/**
 * The name that a call begins with, as in `describe.each([1, 2])("…", () => …)`, `await test(…)` or `(0,
 * runner.it)(…)`.
 */
function rootOf(expression: Ast): string {
  let node = expression.type === "AwaitExpression" ? expression.argument : expression;
  if (node.type !== "CallExpression") return "";
  while (node.type !== "Identifier") {
    if (node.type === "CallExpression") node = plainCallee(node);
    else if (node.type === "TaggedTemplateExpression") node = node.tag;
    else if (node.type === "MemberExpression") node = node.object;
    else return "";
  }
  return node.name;
}

function parse(source: string, format: ModuleFormat): Ast {
  try {
    return parseFile(source, format);
  } catch {
    return undefined;
  }
}
