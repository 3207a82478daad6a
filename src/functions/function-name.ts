/**
 * The name of a function on the wire. `module` is a module id, `node:os` for a builtin, or `global` for the global
 * object. `path` holds the properties to follow: `["default"]`, `["C", "m"]`, `["promises", "readFile"]`.
 */
export interface FunctionName {
  readonly module: string;
  readonly path: readonly string[];
}
