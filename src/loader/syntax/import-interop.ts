import { parse as lex } from "es-module-lexer";

/** CommonJS that was compiled from an ES module (`__esModule`) is taken for that module. */
const INTEROP = '.then(m=>{const d=m.default;return d&&typeof d=="object"&&"__esModule"in d?d:m})';

/**
 * Makes every `import()` of CommonJS that was compiled from an ES module give that module's exports, as tsx does: its
 * `default` is then the default export, and not all of `module.exports`. Lines keep their numbers.
 */
export function withInterop(source: string): string {
  if (!/\bimport\s*\(/.test(source)) return source;
  let ends: number[];
  try {
    ends = lex(source)[0].flatMap((entry) => (entry.type === "dynamic" ? [entry.importEnd] : []));
  } catch {
    // CommonJS that the lexer cannot read.
    return source;
  }
  let result = "";
  let from = 0;
  for (const end of ends.sort((a, b) => a - b)) {
    result += source.slice(from, end) + INTEROP;
    from = end;
  }
  return result + source.slice(from);
}
