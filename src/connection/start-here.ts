/** What a program loads with its first context: how this process starts contexts, and ends them. */
export { Children } from "./children.ts";
export { methods } from "./methods.ts";
