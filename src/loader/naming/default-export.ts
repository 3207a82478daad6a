import type { Ast } from "../syntax/ast.ts";
import { parseProgram } from "../syntax/parser.ts";
import type { FunctionOrigin } from "./function-origin.ts";

/**
 * Finds out whether a module exports a function as `default` without a name. V8 shows no binding for such
 * exports, so the position that V8 gives for the function is looked up in the source that V8 compiled.
 * Returns the path, or undefined.
 */
export function unnamedDefaultPath(
  source: string,
  origin: FunctionOrigin,
  locals: readonly (readonly string[])[],
  { isWrapped, isClass }: { isWrapped: boolean; isClass: boolean },
): string[] | undefined {
  const program = parseModule(source);
  const value = program?.body.find((node: Ast) => node.type === "ExportDefaultDeclaration")?.declaration;
  if (value?.type === "Identifier") {
    const local = locals.find(([root]) => root === value.name);
    if (local !== undefined) return ["default", ...local.slice(1)];
    // If nothing else uses the variable, V8 leaves it out of the module's scope.
    return pathInDefault(constantValue(program, value.name), origin, isWrapped);
  }
  if (isClass) return value?.type.startsWith("Class") && isWithin(value, origin) ? ["default"] : undefined;
  return pathInDefault(value, origin, isWrapped);
}

function pathInDefault(value: Ast, origin: FunctionOrigin, isWrapped: boolean): string[] | undefined {
  if (value === undefined) return undefined;
  if (value.type === "CallExpression") {
    // The call makes a wrapper, and the function that it wraps is one of the arguments. esbuild's `__name`
    // returns its argument.
    const isArgument = value.arguments.some((argument: Ast) => isAt(argument, origin));
    return isArgument && (isWrapped || value.callee.name === "__name") ? ["default"] : undefined;
  }
  if (isWrapped) return undefined;
  if (value.type.startsWith("Class")) {
    for (const member of value.body.body) {
      if (member.static && !member.computed && member.value && isAt(member.value, origin)) {
        return ["default", String(member.key.name ?? member.key.value)];
      }
    }
    return undefined;
  }
  return isAt(value, origin) ? ["default"] : undefined;
}

function parseModule(source: string): Ast {
  try {
    return parseProgram(source, {
      ecmaVersion: "latest",
      sourceType: "module",
      locations: true,
      allowHashBang: true,
    });
  } catch {
    return undefined;
  }
}

/** Returns the value of a top-level name, if nothing can assign to the name. */
function constantValue(program: Ast, name: string): Ast {
  for (const statement of program.body) {
    if (statement.id?.name === name) return statement;
    if (statement.type !== "VariableDeclaration" || statement.kind !== "const") continue;
    const declaration = statement.declarations.find((one: Ast) => one.id.name === name);
    if (declaration !== undefined) return declaration.init;
  }
  return undefined;
}

/** V8 gives the place of a class's first token, or of its constructor. */
function isWithin({ loc: { start, end } }: Ast, { line, column }: FunctionOrigin): boolean {
  const isBehind = line > start.line - 1 || (line === start.line - 1 && column >= start.column);
  return isBehind && (line < end.line - 1 || (line === end.line - 1 && column < end.column));
}

/** V8 gives a position between the function's first token and its body. */
function isAt(node: Ast, origin: FunctionOrigin): boolean {
  if (!/Function/.test(node.type)) return false;
  const before = (place: { line: number; column: number }) =>
    place.line - 1 < origin.line || (place.line - 1 === origin.line && place.column <= origin.column);
  return before(node.loc.start) && !before(node.body.loc.start);
}
