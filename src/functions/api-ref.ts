import { FunctionRef } from "./callable.ts";

/** The part of this library that travels to a context once something of it is needed there: what `import "mitogen"` gives, and what serves it. */
export const API = "mitogen:api";
/** The part with what fleets do on hosts and in hops: src/fleet/engine/. */
export const FLEET = "mitogen:fleet";

/** A function of that part, src/remote/api/api.ts; without a name the part itself. */
export function apiRef<A extends readonly unknown[], R>(name?: string): FunctionRef<A, R> {
  return new FunctionRef(API, name === undefined ? [] : [name]);
}
