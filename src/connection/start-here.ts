/** The code that a program loads with its first context: it starts and ends contexts. */

export { listenPrivately } from "../links/unix-socket.ts";
export { ShortWays } from "../short-way/short-ways.ts";
export { Children } from "./children/children.ts";
export { methods } from "./methods/methods.ts";
