import type { Ast } from "./ast.ts";

/** The names by which an entry script uses this library. */
export interface MitogenNames {
  /** Local name → exported name. */
  readonly named: Map<string, string>;
  /** Local names of the library as a whole: `import * as m`, `const m = require("mitogen")`. */
  readonly whole: Set<string>;
  /** Local names of functions that `withRouter(…)` returned. */
  readonly wrapped: Set<string>;
  /** Local names of the helper that defines exports in a bundle: esbuild's `__export`, or any name once minified. */
  readonly helpers: Set<string>;
}

/** These functions do nothing in a child. */
const INERT = new Set(["logToFile", "onLog", "runWithRouter", "withRouter"]);
const ACTIVE = new Set(["Router", "Broker"]);

/**
 * Collects the names from the top level of a parsed program. `aliases` are other specifiers that lead to this
 * library.
 */
export function mitogenNames(program: Ast, aliases: readonly string[]): MitogenNames {
  const names: MitogenNames = { named: new Map(), whole: new Set(), wrapped: new Set(), helpers: new Set() };
  for (const statement of program.body) {
    if (statement.type === "ImportDeclaration" && isMitogen(statement.source.value, aliases)) {
      for (const specifier of statement.specifiers) {
        if (specifier.type !== "ImportSpecifier") names.whole.add(specifier.local.name);
        else names.named.set(specifier.local.name, specifier.imported.name ?? specifier.imported.value);
      }
    }
    const declaration = statement.type === "ExportNamedDeclaration" ? statement.declaration : statement;
    if (declaration?.type !== "VariableDeclaration") continue;
    for (const { id: pattern, init } of declaration.declarations) {
      if (init == null) continue;
      if (loadsMitogen(init, aliases)) addPattern(pattern, names);
      else if (definesExports(init)) names.helpers.add(pattern.name);
      else if (init.type === "CallExpression" && exportedName(plainCallee(init), names) === "withRouter") {
        if (pattern.type === "Identifier") names.wrapped.add(pattern.name);
      }
    }
  }
  return names;
}

/**
 * Whether a test is `isMain(import.meta)`, `isMain(module)`, `import.meta.main` or `require.main === module`,
 * alone or inside `&&`.
 */
export function isGuard(test: Ast, names: MitogenNames): boolean {
  switch (test.type) {
    case "LogicalExpression":
      return test.operator === "&&" && (isGuard(test.left, names) || isGuard(test.right, names));
    case "CallExpression": {
      const [argument] = test.arguments;
      const isModule = isImportMeta(argument) || argument?.name === "module";
      return isModule && exportedName(plainCallee(test), names) === "isMain";
    }
    case "MemberExpression":
      return isImportMeta(test.object) && test.property.name === "main";
    case "BinaryExpression": {
      if (!/^===?$/.test(test.operator)) return false;
      const isMain = (node: Ast) =>
        node.type === "MemberExpression" && node.object.name === "require" && node.property.name === "main";
      const sides = [test.left, test.right];
      return sides.some(isMain) && sides.some((side) => side.name === "module");
    }
    default:
      return false;
  }
}

/** Whether a call does nothing in a child. It may be awaited, voided or chained. */
export function isInertCall(node: Ast, names: MitogenNames): boolean {
  if (node.type === "AwaitExpression") return isInertCall(node.argument, names);
  if (node.type === "UnaryExpression" && node.operator === "void") return isInertCall(node.argument, names);
  if (node.type !== "CallExpression") return false;
  const callee = plainCallee(node);
  if (callee.type === "MemberExpression" && /^(?:then|catch|finally)$/.test(callee.property.name)) {
    return node.arguments.every(isFunctionLike) && isInertCall(callee.object, names);
  }
  if (node.arguments.some((argument: Ast) => restless(argument, names))) return false;
  if (callee.type === "Identifier" && names.wrapped.has(callee.name)) return true;
  if (callee.type === "CallExpression") return exportedName(plainCallee(callee), names) === "withRouter";
  return INERT.has(exportedName(callee, names) ?? "");
}

/**
 * Whether evaluating an expression waits for something or makes a Router or Broker. Ignores the bodies of
 * functions, because defining a function does nothing.
 */
export function restless(node: Ast, names: MitogenNames): boolean {
  if (typeof node !== "object" || node === null) return false;
  if (Array.isArray(node)) return node.some((each) => restless(each, names));
  if (typeof node.type !== "string" || isDefinition(node)) return false;
  if (node.type === "AwaitExpression" && !isInertCall(node, names) && !isMitogenImport(node.argument))
    return true;
  if (node.type === "NewExpression" || node.type === "CallExpression") {
    if (ACTIVE.has(exportedName(plainCallee(node), names) ?? "")) return true;
  }
  return Object.values(node).some((child) => restless(child, names));
}

/** Whether a node is a function or a class. Defining it does nothing; its code runs later, if at all. */
export function isDefinition(node: Ast): boolean {
  return /Function|^Class/.test(node.type);
}

/** Returns the callee, without the `(0, f)` that compilers write to call a function without `this`. */
export function plainCallee(call: Ast): Ast {
  const { callee } = call;
  return callee.type === "SequenceExpression" ? callee.expressions.at(-1) : callee;
}

/** Returns the name under which this library exports the callee. */
function exportedName(callee: Ast, names: MitogenNames): string | undefined {
  if (callee.type === "Identifier") return names.named.get(callee.name);
  if (callee.type !== "MemberExpression" || callee.computed) return undefined;
  return names.whole.has(callee.object.name) ? callee.property.name : undefined;
}

function addPattern(pattern: Ast, names: MitogenNames): void {
  if (pattern.type === "Identifier") names.whole.add(pattern.name);
  if (pattern.type !== "ObjectPattern") return;
  for (const { key, value } of pattern.properties) {
    if (value?.type === "Identifier") names.named.set(value.name, key.name ?? key.value);
  }
}

/**
 * Whether an initialiser is `require("mitogen")` or `await import("mitogen")`, perhaps inside a compiler's
 * interop helper.
 */
function loadsMitogen(init: Ast, aliases: readonly string[]): boolean {
  if (init.type === "AwaitExpression") return isMitogenImport(init.argument);
  if (init.type !== "CallExpression") return false;
  const [argument] = init.arguments;
  if (init.callee.name === "require")
    return argument?.type === "Literal" && isMitogen(argument.value, aliases);
  // An interop helper, which has any name once minified.
  return init.callee.type === "Identifier" && argument !== undefined && loadsMitogen(argument, aliases);
}

/** `(target, all) => { for (var name in all) defineProperty(target, name, { get: all[name], enumerable: true }); }` */
function definesExports({ type, params, body }: Ast): boolean {
  if (!/^(?:Arrow)?FunctionExpression$/.test(type) || params.length !== 2) return false;
  const [loop, ...others] = body.body ?? [];
  if (loop?.type !== "ForInStatement" || others.length > 0) return false;
  const { expression } = loop.body.type === "BlockStatement" ? (loop.body.body[0] ?? {}) : loop.body;
  const descriptor = expression?.type === "CallExpression" ? expression.arguments[2] : undefined;
  return descriptor?.properties?.[0]?.key?.name === "get";
}

function isMitogenImport(node: Ast): boolean {
  return node?.type === "ImportExpression" && node.source.value === "mitogen";
}

function isMitogen(specifier: unknown, aliases: readonly unknown[]): boolean {
  return specifier === "mitogen" || aliases.includes(specifier);
}

/** Whether a node is `import.meta`. In CommonJS output, esbuild uses a variable for it. */
function isImportMeta(node: Ast): boolean {
  return node?.type === "MetaProperty" || node?.name === "import_meta";
}

function isFunctionLike(node: Ast): boolean {
  return /Function|^Identifier$|^MemberExpression$/.test(node.type);
}
