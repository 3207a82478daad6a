import { type Import, parse as lex } from "es-module-lexer";

/**
 * The type that an import asks for: the value of its attribute `type`, or {@link COMPUTED} for options that
 * are known only at run time.
 */
export type ImportType = string | typeof COMPUTED;

/** `import("./x", options)` */
export const COMPUTED: unique symbol = Symbol("computed");

/** Returns the types by specifier. Leaves out specifiers without a type. */
export function importTypes(source: string): ReadonlyMap<string, ImportType> {
  const types = new Map<string, ImportType>();
  for (const entry of importsWithAttributes(source)) {
    if (entry.specifier === undefined) continue;
    const written = source.slice(entry.attributesStart, entry.importEnd);
    const type = /\btype["']?\s*:\s*["']([\w-]+)["']/.exec(written)?.[1];
    types.set(entry.specifier, type ?? COMPUTED);
  }
  return types;
}

/**
 * Removes the attributes, because an old Node does not know the syntax. A child knows the format of every module
 * without them. Lines keep their numbers.
 */
export function withoutAttributes(source: string): string {
  let result = "";
  let from = 0;
  for (const entry of importsWithAttributes(source)) {
    // A computed specifier ends before its options, a literal before its closing quote.
    const start = entry.type === "dynamic" ? entry.end : entry.end + 1;
    const end = entry.type === "dynamic" ? entry.importEnd - 1 : entry.importEnd;
    if (start < from) continue;
    result += source.slice(from, start) + source.slice(start, end).replace(/[^\n]+/g, "");
    from = end;
  }
  return result + source.slice(from);
}

type ImportOfModule = Exclude<Import, { type: "import-meta" }>;

function importsWithAttributes(source: string): ImportOfModule[] {
  if (!/\b(?:with|assert|import)\b/.test(source)) return [];
  let imports: readonly Import[];
  try {
    imports = lex(source)[0];
  } catch {
    // CommonJS that the lexer cannot read. It has no static imports.
    return [];
  }
  const found = imports.filter(
    (entry): entry is ImportOfModule => entry.type !== "import-meta" && entry.attributesStart >= 0,
  );
  // An import may be inside the options of another.
  return found.sort((a, b) => a.end - b.end);
}
