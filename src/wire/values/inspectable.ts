/** Makes `console.log` and `util.inspect` print an object as its `toString` does. */
export function printAsText(type: { readonly prototype: { toString(): string } }): void {
  // A symbol of the global registry, so that nothing of node:util has to be loaded for it.
  const inspect = Symbol.for("nodejs.util.inspect.custom");
  Object.defineProperty(type.prototype, inspect, { value: type.prototype.toString });
}
