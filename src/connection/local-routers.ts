import type { ConnectingRouter } from "./connecting-router.ts";

/** The routers of this program that have not been shut down. */
export const localRouters: Set<ConnectingRouter> = new Set();
