import { type Import, parse as lex } from "es-module-lexer";

/** What an import asks a module to be: the value of its attribute `type`, or options that only running the code tells. */
export type ImportType = string | typeof COMPUTED;

/** `import("./x", options)` */
export const COMPUTED: unique symbol = Symbol("computed");

/** The types by specifier; a specifier without a type is not in it. */
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

/** Takes them out: a child knows the format of every module, and an old Node does not know the syntax. Lines stay. */
export function withoutAttributes(source: string): string {
  let result = "";
  let from = 0;
  for (const entry of importsWithAttributes(source)) {
    // An expression ends before its options, a literal before its closing quote.
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
    // CommonJS that the lexer does not follow; it has no static imports.
    return [];
  }
  const found = imports.filter(
    (entry): entry is ImportOfModule => entry.type !== "import-meta" && entry.attributesStart >= 0,
  );
  // One may stand in another's options.
  return found.sort((a, b) => a.end - b.end);
}
