/** Makes `console.log` and `util.inspect` print an object as its `toString` does. */
export function printAsText(type: { readonly prototype: { toString(): string } }): void {
  // The symbol is in the global registry, so node:util need not be loaded.
  const inspect = Symbol.for("nodejs.util.inspect.custom");
  Object.defineProperty(type.prototype, inspect, { value: type.prototype.toString });
}
