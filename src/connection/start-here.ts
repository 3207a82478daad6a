/** What a program loads with its first context: how this process starts contexts, and ends them. */

export { listenPrivately } from "../links/unix-socket.ts";
export { ShortWays } from "../short-way/short-ways.ts";
export { Children } from "./children/children.ts";
export { methods } from "./methods/methods.ts";
