/** What a program loads with the first of its own requests about runtimes. */
export { addToStore } from "./add-runtime.ts";
export { runtimeStore } from "./store.ts";
