import type { Ast } from "./ast.ts";
import { isDefinition, isGuard, isInertCall, type MitogenNames } from "./entry-expressions.ts";
import { patternNames } from "./pattern-names.ts";

/**
 * Blanks the parts of an entry script that must do nothing in a child: calls of this library's functions that are
 * inert there, and code behind a guard. The child's Node might not know their syntax (top-level await), and calls
 * chained to an inert call would run. The rest keeps its lines and columns.
 */
export function blankWork(source: string, program: Ast, names: MitogenNames): string {
  const blanks = new Blanks(names);
  blanks.visit(program.body);
  return blanks.applyTo(source);
}

interface Blank {
  readonly start: number;
  readonly end: number;
  /** The text at the beginning of the blank. Never longer than the text it replaces. */
  readonly text: string;
}

class Blanks {
  readonly #names: MitogenNames;
  readonly #blanks: Blank[] = [];
  /** Names that a blanked block declares with `var`. They are visible outside of it, and may be exported. */
  readonly #hoisted = new Set<string>();

  constructor(names: MitogenNames) {
    this.#names = names;
  }

  applyTo(source: string): string {
    let result = "";
    let from = 0;
    for (const { start, end, text } of this.#blanks.sort((a, b) => a.start - b.start)) {
      result += source.slice(from, start) + blanked(source.slice(start, end), text);
      from = end;
    }
    result += source.slice(from);
    return this.#hoisted.size === 0 ? result : `${result}\nvar ${[...this.#hoisted].join(", ")};`;
  }

  visit(node: Ast): void {
    if (typeof node !== "object" || node === null) return;
    const isNode = typeof node.type === "string";
    if (isNode ? isDefinition(node) || this.#visitWhole(node) : !Array.isArray(node)) return;
    for (const child of Object.values(node)) this.visit(child);
  }

  /** Handles a node as a whole. Returns false if its parts are still to be visited. */
  #visitWhole(node: Ast): boolean {
    const names = this.#names;
    switch (node.type) {
      case "ExpressionStatement":
        return isInertCall(node.expression, names) && this.#blank(node, ";");
      case "VariableDeclarator":
        return this.#visitAssigned(node.id, node.init);
      case "AssignmentExpression":
        return this.#visitAssigned(node.left, node.right);
      case "AwaitExpression":
        return isInertCall(node, names) && this.#blank(node, "void 0");
      case "CallExpression":
        return isInertCall(node, names) && this.#visitChain(node);
      case "BinaryExpression":
        // The guard is false in a child. It becomes 0, because in a child an ES module that a loader ran as
        // CommonJS has no `module`.
        return isGuard(node, names) && this.#blank(node, "0");
      case "LogicalExpression":
        if (node.operator !== "&&" || !isGuard(node.left, names)) return false;
        this.visit(node.left);
        return this.#blank(node.right, "0");
      case "IfStatement":
        if (!isGuard(node.test, names)) return false;
        this.#blankStatement(node.consequent);
        this.visit([node.test, node.alternate]);
        return true;
      case "TryStatement":
        // The handler is blanked only if nothing that could fail is left in the block.
        if (!node.handler || !node.block.body.every((one: Ast) => this.#isInert(one))) return false;
        this.#blankStatement(node.handler.body);
        this.visit([node.block, node.finalizer]);
        return true;
      default:
        return false;
    }
  }

  /** Handles `const { a } = await runWithRouter(main)`, because undefined cannot be destructured. */
  #visitAssigned(to: Ast, value: Ast): boolean {
    const text = to.type === "ObjectPattern" ? "{}" : to.type === "ArrayPattern" ? "[]" : undefined;
    if (text === undefined || value?.type !== "AwaitExpression") return false;
    return isInertCall(value, this.#names) && this.#blank(value, text);
  }

  /**
   * Handles `runWithRouter(main).then(…)`: the inert call stays, so that code that keeps the promise still
   * gets one.
   */
  #visitChain(node: Ast): boolean {
    let root = node;
    while (root.callee?.type === "MemberExpression" && isInertCall(root.callee.object, this.#names)) {
      root = root.callee.object;
    }
    if (root === node) return false;
    if (root.type !== "CallExpression") return this.#blank(node, "void 0");
    this.#blank({ start: node.start, end: root.start }, "");
    this.#blank({ start: root.end, end: node.end }, "");
    this.visit(root);
    return true;
  }

  #blankStatement(statement: Ast): void {
    for (const name of hoistedNames(statement)) this.#hoisted.add(name);
    const { type, start, end } = statement;
    if (type === "BlockStatement") this.#blank({ start: start + 1, end: end - 1 }, "");
    else this.#blank(statement, ";");
  }

  #isInert(statement: Ast): boolean {
    return statement.type === "ExpressionStatement" && isInertCall(statement.expression, this.#names);
  }

  #blank({ start, end }: { start: number; end: number }, text: string): true {
    this.#blanks.push({ start, end, text });
    return true;
  }
}

/**
 * Replaces all but the line ends by spaces, and puts `text` at the beginning. No word in `text` is longer
 * than the text it replaces.
 */
function blanked(old: string, text: string): string {
  const left = [...text];
  return old.replace(/[^\r\n\u2028\u2029]/g, () => left.shift() ?? " ");
}

function hoistedNames(node: Ast): string[] {
  if (typeof node !== "object" || node === null) return [];
  if (Array.isArray(node)) return node.flatMap(hoistedNames);
  if (typeof node.type !== "string" || isDefinition(node)) return [];
  const own =
    node.type === "VariableDeclaration" && node.kind === "var"
      ? node.declarations.flatMap((one: Ast) => patternNames(one.id))
      : [];
  return [...own, ...Object.values(node).flatMap(hoistedNames)];
}
