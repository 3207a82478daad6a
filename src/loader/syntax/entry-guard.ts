import { realpathSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { LIBRARY_FILE } from "../../library.ts";
import { isFile } from "../is-file.ts";
import { ModuleError } from "../module-error.ts";
import type { ModuleFormat } from "../module-record.ts";
import type { Ast } from "./ast.ts";
import { blankWork } from "./entry-blanks.ts";
import {
  isGuard,
  isInertCall,
  type MitogenNames,
  mitogenNames,
  plainCallee,
  restless,
} from "./entry-expressions.ts";
import { parseFile } from "./parser.ts";

/** Helpers that esbuild puts at the top of CommonJS output. They only define parts of classes and exports. */
const COMPILER_HELPERS = new Set([
  "__export",
  "__reExport",
  "__copyProps",
  "__name",
  "__publicField",
  "__decorateClass",
  "__decorateElement",
  "__decoratorMetadata",
  "__privateAdd",
  "__runInitializers",
]);

/** The script that this program was started with. Undefined if there is none. */
export const ENTRY_MODULE: string | undefined = entryId(process.argv[1]);

/** Whether a module is {@link ENTRY_MODULE}. */
export function isEntryModule(id: string): boolean {
  return id === ENTRY_MODULE;
}

/**
 * Makes the entry script importable for a child that needs one function of it, without running the program
 * again. Throws if that is not possible. It is possible for a script with a top-level guard (`isMain`,
 * `import.meta.main`, `require.main === module`), and for a script whose whole top-level work is done by
 * functions of this library that do nothing in a child. That work is blanked; the rest has the lines and
 * columns of `source`. `aliases` are other specifiers that lead to this library.
 */
export function neutralizeEntryModule(
  id: string,
  source: string,
  format: ModuleFormat,
  aliases: readonly string[] = [],
): string {
  if (format === "json") return source;
  try {
    const program = parseFile(source, format);
    const names = mitogenNames(program, aliases);
    const isSafe = program.body.some((statement: Ast) => isGuarded(statement, names));
    const culprit = isSafe ? undefined : firstWork(program.body, names);
    if (culprit === undefined) return blankWork(source, program, names);
    const line = source.slice(culprit.start, culprit.end).split("\n", 1)[0]?.trim().slice(0, 120);
    throw refuse(id, `importing it there would run '${line}' again`);
  } catch (cause) {
    throw cause instanceof ModuleError ? cause : refuse(id, `it cannot be read: ${String(cause)}`, cause);
  }
}

function isGuarded(statement: Ast, names: MitogenNames): boolean {
  if (statement.type === "IfStatement") return isGuard(statement.test, names);
  if (statement.type !== "ExpressionStatement" || statement.expression.type !== "LogicalExpression")
    return false;
  return statement.expression.operator === "&&" && isGuard(statement.expression.left, names);
}

/** Returns the part of a top-level statement that would do something in a child. Undefined if none would. */
function work(statement: Ast, names: MitogenNames): Ast {
  switch (statement.type) {
    case "ExpressionStatement":
      return isHarmless(statement.expression, names) || statement.directive !== undefined
        ? undefined
        : statement;
    case "VariableDeclaration":
      return statement.declarations.some((one: Ast) => restless(one.init, names)) ? statement : undefined;
    case "ExportNamedDeclaration":
    case "ExportDefaultDeclaration":
      if (statement.declaration == null) return undefined;
      return /Declaration$/.test(statement.declaration.type)
        ? work(statement.declaration, names)
        : restless(statement.declaration, names) && statement;
    case "ImportDeclaration":
    case "ExportAllDeclaration":
    case "FunctionDeclaration":
    case "ClassDeclaration":
    case "EmptyStatement":
      return undefined;
    case "BlockStatement":
      return firstWork(statement.body, names);
    case "TryStatement":
      // Code in `catch` runs only if something failed.
      return firstWork([statement.block, statement.finalizer], names);
    case "IfStatement":
      return restless(statement.test, names)
        ? statement
        : firstWork([statement.consequent, statement.alternate], names);
    default:
      return statement;
  }
}

function firstWork(statements: Ast[], names: MitogenNames): Ast {
  for (const statement of statements) {
    const culprit = statement && work(statement, names);
    if (culprit) return culprit;
  }
  return undefined;
}

function isHarmless(expression: Ast, names: MitogenNames): boolean {
  if (isInertCall(expression, names)) return true;
  switch (expression.type) {
    case "Literal":
    case "Identifier":
      return true;
    case "SequenceExpression":
      return expression.expressions.every((each: Ast) => isHarmless(each, names));
    case "AssignmentExpression":
      return (
        isInertCall(expression.right, names) ||
        // Allowed like the value of a declaration. esbuild's output for decorators is full of such assignments.
        ((expression.left.type === "Identifier" || isExports(expression.left)) &&
          !restless(expression.right, names))
      );
    case "LogicalExpression":
      // `0 && (module.exports = …)` never runs. Compilers write it for tools that look for names.
      return expression.left.type === "Literal" && !expression.left.value;
    case "CallExpression": {
      const callee = plainCallee(expression);
      if (callee.type === "Identifier")
        return COMPILER_HELPERS.has(callee.name) || names.helpers.has(callee.name);
      const isDefine = callee.type === "MemberExpression" && callee.property.name === "defineProperty";
      return isDefine && callee.object.name === "Object" && isExports(expression.arguments[0]);
    }
    default:
      return false;
  }
}

/** Whether a node is `exports`, `module.exports`, or a member of them. */
function isExports(node: Ast): boolean {
  if (node?.type === "Identifier") return node.name === "exports";
  if (node?.type !== "MemberExpression") return false;
  return (node.object.name === "module" && node.property.name === "exports") || isExports(node.object);
}

function refuse(id: string, what: string, cause?: unknown): ModuleError {
  if (id === LIBRARY_FILE) return refuseBundle(id);
  const cure =
    "put the work into a function and run it with `await runWithRouter(main)` or under `if (isMain(import.meta))`, " +
    "or move the functions that are called remotely into a module of their own";
  const message = `Cannot send ${id}, the script this program was started with: ${what}; ${cure}`;
  return new ModuleError("ERR_MODULE_ENTRY", message, cause === undefined ? undefined : { cause });
}

/** Refuses a bundle that contains this library: the bundler has renamed the functions that guard the work. */
function refuseBundle(id: string): ModuleError {
  const cure =
    "leave mitogen out of the bundle (esbuild --external:mitogen), guard the program's work with `import.meta.main` (Node 24.2 " +
    "or newer) or `require.main === module`, or move the functions that are called remotely into a file of their own";
  const message = `Cannot send ${id}, the script this program was started with: it is a bundle that contains mitogen; ${cure}`;
  return new ModuleError("ERR_MODULE_ENTRY", message);
}

function entryId(script: string | undefined): string | undefined {
  if (script === undefined) return undefined;
  if (isFile(script)) return pathToFileURL(realpathSync(script)).href;
  try {
    const path = createRequire(join(process.cwd(), "noop.js")).resolve(script);
    return pathToFileURL(realpathSync(path)).href;
  } catch {
    return pathToFileURL(script).href;
  }
}
