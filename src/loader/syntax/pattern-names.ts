import type { Ast } from "./ast.ts";

/** The names that a declaration's left side binds: `{ a, b: [c = 1], ...d }` binds `a`, `c` and `d`. */
export function patternNames(pattern: Ast): string[] {
  switch (pattern?.type) {
    case "Identifier":
      return [pattern.name];
    case "AssignmentPattern":
      return patternNames(pattern.left);
    case "RestElement":
      return patternNames(pattern.argument);
    case "ArrayPattern":
      return pattern.elements.flatMap(patternNames);
    case "ObjectPattern":
      return pattern.properties.flatMap((property: Ast) => patternNames(property.value ?? property));
    default:
      return [];
  }
}
