/**
 * A node of acorn's syntax tree. Its own types know too little to be of use here: every look at a tree begins with
 * `type`, and what is not there is `undefined`.
 */
// biome-ignore lint/suspicious/noExplicitAny: said above
export type Ast = any;
