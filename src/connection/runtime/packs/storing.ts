/** The code that a program loads with its first own request about runtimes. */
export { addToStore } from "./add-runtime.ts";
export { runtimeStore } from "./store.ts";
