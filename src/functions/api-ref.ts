import { FunctionRef } from "./callable.ts";

/** The library part with the exports of `import "mitogen"`. It travels to a context once the context needs it. */
export const API = "mitogen:api";
/** The library part with the code that fleets run on hosts and in hops: src/fleet/engine/. */
export const FLEET = "mitogen:fleet";

/** Refers to a function of the part {@link API} (src/remote/api/api.ts), or to the part itself if there is no name. */
export function apiRef<A extends readonly unknown[], R>(name?: string): FunctionRef<A, R> {
  return new FunctionRef(API, name === undefined ? [] : [name]);
}
