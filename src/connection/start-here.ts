/** What a program loads with its first context: how this process starts contexts, and ends them. */
export { ShortWays } from "../short-way/short-ways.ts";
export { Children } from "./children.ts";
export { methods } from "./methods.ts";
export { listenPrivately } from "./unix-socket.ts";
