/** A function by module and path, as it is named on the wire. */
export interface FunctionName {
  readonly module: string;
  readonly path: readonly string[];
}
