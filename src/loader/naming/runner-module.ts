import type { AnyFunction } from "../../functions/overloads.ts";
import { attempt } from "../../wire/values/thrown.ts";
import type { Ast } from "../syntax/ast.ts";
import { parseProgram } from "../syntax/parser.ts";
import { patternNames } from "../syntax/pattern-names.ts";
import type { LocalExports } from "./exported-path.ts";
import { type FunctionOrigin, type FunctionScope, scriptSource } from "./function-origin.ts";

/**
 * A module that V8 knows only as a script or as the body of a function, because a test runner evaluated it.
 * Vitest rewrites `import` and `export` and wraps the text in a function. Jest compiles a module to CommonJS,
 * which does not appear in `require.cache`.
 */
export interface RunnerModule {
  /** The statements at the top level of the module. */
  readonly body: readonly Ast[];
  /** The names of its variables and of its parameters: `exports`, `require`, …. */
  readonly names: ReadonlySet<string>;
  /** The names that something is assigned to after their declaration. */
  readonly assigned: ReadonlySet<string>;
  /** Whether the outermost scope of a function in it is the module's own: true if the runner captures every export. */
  readonly showsExports: boolean;
}

/** The names that compilers give to the value of an unnamed default export. */
const DEFAULT_NAME = /^(?:_default\d*|default_1|__vite_ssr_export_default__)$/;
const COMMONJS_NAMES = ["exports", "require", "module", "__filename", "__dirname"];

const known = new Map<string, RunnerModule | undefined>();

/** Returns the module of a script. Undefined for an ES module, and for a script that cannot be read. */
export function runnerModule(scriptId: string): RunnerModule | undefined {
  if (!known.has(scriptId)) known.set(scriptId, readRunnerModule(scriptSource(scriptId)));
  return known.get(scriptId);
}

export function readRunnerModule(source: string): RunnerModule | undefined {
  const program = parseScript(source);
  if (program === undefined) return undefined;
  const wrapper = wrapperOf(program.body);
  const body = statementsOf(wrapper === undefined ? program.body : wrapper.body.body);
  const given = wrapper === undefined ? COMMONJS_NAMES : wrapper.params.flatMap(patternNames);
  const declared = body.flatMap((one) => one.declarations?.map((each: Ast) => each.id) ?? [one.id]);
  return {
    body,
    assigned: new Set(assignedNames(body)),
    names: new Set([...given, ...declared.flatMap(patternNames)]),
    showsExports: given.some((name: string) => /^__vite_ssr_export/.test(name)),
  };
}

/** Returns the scope of a module's variables: V8's module scope, or the scope of Vitest's wrapper. */
export function moduleScope(origin: FunctionOrigin): FunctionScope | undefined {
  const own = origin.scopes.find((scope) => scope.isModule);
  if (own !== undefined || origin.scriptId === undefined || origin.scopes.length === 0) return own;
  const { showsExports, names } = runnerModule(origin.scriptId) ?? {};
  if (!showsExports) return undefined;
  return origin.scopes.findLast(({ bindings }) => {
    const visible = Object.getOwnPropertyNames(bindings);
    return visible.some((name) => !/^__vite_ssr_/.test(name)) && visible.every((name) => names?.has(name));
  });
}

/**
 * Returns the path under which a module exports the function at a place of its top level. Such a function is made
 * once, so its place identifies it. `exported` holds the exports of the file; it is undefined for CommonJS. With
 * `isWrapped`, the function at `origin` is an argument of the call that made `fn`.
 */
export function exportedAt(
  module: RunnerModule,
  fn: AnyFunction,
  origin: FunctionOrigin,
  exported: LocalExports | undefined,
  isWrapped: boolean,
): string[] | undefined {
  for (const { local, name, value } of module.body.flatMap(definitions)) {
    const rest = module.assigned.has(local) ? undefined : pathWithin(value, origin, isWrapped);
    if (rest === undefined || (rest.length === 0 && isAnother(local, fn, origin))) continue;
    const root = name ?? (exported ?? commonJsExports(module)).byLocal.get(local);
    if (root !== undefined) return root === "" ? rest : [root, ...rest];
    if (exported?.hasUnnamedDefault && DEFAULT_NAME.test(local)) return ["default", ...rest];
  }
  return undefined;
}

/** Whether the variable, if V8 shows it, now holds another value. */
function isAnother(local: string, fn: AnyFunction, { scopes }: FunctionOrigin): boolean {
  // V8 throws for a variable that is not initialised yet.
  const values = scopes.map(({ bindings }) =>
    attempt(() => Object.getOwnPropertyDescriptor(bindings, local)?.value),
  );
  return values.some((value) => value !== undefined && value !== fn);
}

interface Definition {
  readonly local: string;
  /** The name under which CommonJS exports it; empty for `module.exports` itself. */
  readonly name?: string | undefined;
  readonly value: Ast;
}

/** Returns the values that a statement gives names to. */
function definitions(statement: Ast): Definition[] {
  if (/^(?:Function|Class)Declaration$/.test(statement.type)) {
    return [{ local: statement.id.name, value: statement }];
  }
  if (statement.type === "VariableDeclaration") {
    return statement.declarations
      .filter(({ id, init }: Ast) => id.type === "Identifier" && init)
      .flatMap(({ id, init }: Ast) => assigned({ local: id.name, value: init }));
  }
  const expression = statement.type === "ExpressionStatement" && statement.expression;
  return expression.type === "AssignmentExpression" ? assigned({ local: "", value: expression }) : [];
}

/** Splits `exports.a = exports.b = value` and `module.exports = { a: value, b }` into definitions. */
function assigned({ local, name, value }: Definition): Definition[] {
  if (value.type !== "AssignmentExpression") {
    const members = name === "" && value.type === "ObjectExpression" ? value.properties : [];
    const named = members
      .filter((one: Ast) => one.type === "Property" && !one.computed && one.kind === "init")
      .map((one: Ast) => ({ local: "", name: String(one.key.name ?? one.key.value), value: one.value }));
    return [...(name === undefined && local === "" ? [] : [{ local, name, value }]), ...named];
  }
  const target = exportName(value.left);
  if (target === undefined) return [];
  return assigned({ local, name: target, value: value.right });
}

/**
 * The exported name: `a` for `exports.a` and `module.exports.a`, an empty string for `module.exports`,
 * undefined for anything else.
 */
function exportName(node: Ast): string | undefined {
  if (node?.type !== "MemberExpression" || node.computed) return undefined;
  const { object, property } = node;
  if (object.name === "module" && property.name === "exports") return "";
  return object.name === "exports" || exportName(object) === "" ? property.name : undefined;
}

/** The variables that a CommonJS module exports. */
function commonJsExports({ body }: RunnerModule): LocalExports {
  const byLocal = new Map<string, string>();
  for (const { name, value } of body.flatMap(definitions)) {
    if (name !== undefined && value.type === "Identifier") byLocal.set(value.name, name);
  }
  return { byLocal, hasUnnamedDefault: false };
}

function assignedNames(node: Ast): string[] {
  if (typeof node !== "object" || node === null) return [];
  if (Array.isArray(node)) return node.flatMap(assignedNames);
  const own = node.type === "AssignmentExpression" ? patternNames(node.left) : [];
  return [...own, ...Object.values(node).flatMap(assignedNames)];
}

/** Returns the path from a value to the function at a place in its text: the value, an argument, or a static method. */
function pathWithin(value: Ast, origin: FunctionOrigin, isWrapped: boolean): string[] | undefined {
  if (isWrapped) {
    const isArgument =
      value.type === "CallExpression" && value.arguments.some((one: Ast) => isAt(one, origin));
    return isArgument ? [] : undefined;
  }
  if (isAt(value, origin)) return [];
  if (!value.type.startsWith("Class")) return undefined;
  const member = value.body.body.find(
    (one: Ast) => one.static && !one.computed && one.value && isAt(one.value, origin),
  );
  return member && [String(member.key.name ?? member.key.value)];
}

/** V8 gives a position between the function's first token and its body. */
function isAt(node: Ast, { line, column }: FunctionOrigin): boolean {
  if (!/Function/.test(node.type)) return false;
  const isBehind = ({ loc: { start } }: Ast): boolean =>
    start.line - 1 < line || (start.line - 1 === line && start.column <= column);
  return isBehind(node) && !isBehind(node.body);
}

function parseScript(source: string): Ast {
  try {
    return parseProgram(source, {
      ecmaVersion: "latest",
      sourceType: "script",
      locations: true,
      allowHashBang: true,
      allowReturnOutsideFunction: true,
    });
  } catch {
    return undefined;
  }
}

/** The function whose body is the module, if the script holds only that function and directives. */
function wrapperOf(body: readonly Ast[]): Ast {
  const [statement, ...others] = body.filter((one) => one.directive === undefined);
  if (statement?.type !== "ExpressionStatement" || others.length > 0) return undefined;
  const { expression } = statement;
  const value = expression.type === "ObjectExpression" ? expression.properties[0]?.value : expression;
  return /Function/.test(value?.type ?? "") && value.body.type === "BlockStatement" ? value : undefined;
}

/** Vitest puts the text of a module into a block of the wrapper. */
function statementsOf(body: readonly Ast[]): readonly Ast[] {
  return body.flatMap((one) => (one.type === "BlockStatement" ? one.body : [one]));
}
