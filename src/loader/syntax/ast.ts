/**
 * A node of acorn's syntax tree. acorn's own types are too vague to help here: the code always looks at
 * `type` first, and an absent field is `undefined`.
 */
// biome-ignore lint/suspicious/noExplicitAny: said above
export type Ast = any;
