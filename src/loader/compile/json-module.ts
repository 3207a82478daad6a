/** JSON as JavaScript modules. */

/** Returns JSON as an ES module with a default export. */
export function jsonAsModule(text: string): { format: "module"; source: string } {
  return { format: "module", source: `export default ${parsed(text)};` };
}

/** Returns JSON as CommonJS with its keys as named exports, as under tsx. Undefined if it has no keys. */
export function jsonAsCommonJs(text: string): { format: "commonjs"; source: string } | undefined {
  let names: string[];
  try {
    const value: unknown = JSON.parse(text);
    names = typeof value === "object" && value !== null && !Array.isArray(value) ? Object.keys(value) : [];
  } catch {
    return undefined;
  }
  const exported = names.filter((name) => /^[A-Za-z_$][\w$]*$/.test(name) && !RESERVED.has(name));
  if (exported.length === 0) return undefined;
  // The first statement is for the scanner, which reads the names from the text.
  const declared = exported.map((name) => `exports.${name} = 0;`).join(" ");
  return { format: "commonjs", source: `if (0) { ${declared} }\nmodule.exports = ${parsed(text)};` };
}

/** Names that have another meaning for importers of CommonJS. */
const RESERVED = new Set(["default", "__esModule", "__proto__"]);

/** Returns an expression for the value. Not an object literal, in which `__proto__` is not an ordinary key. */
function parsed(text: string): string {
  return `JSON.parse(${JSON.stringify(text)})`;
}
