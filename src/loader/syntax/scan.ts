import { parse as parseCommonJs } from "cjs-module-lexer";
import { parse as parseModule } from "es-module-lexer";
import type { ImportKind, ModuleFormat } from "../module-record.ts";
import { lookUpAt, scanRequires } from "./require-scanner.ts";

/** A specifier in a module's text. */
export interface ScannedImport {
  readonly specifier: string;
  readonly kind: ImportKind;
  /** Whether this is an `import()`: resolved in advance, but evaluated only when the program gets there. */
  readonly isDynamic: boolean;
  /** Whether the program only looks the module up: `require.resolve("x")`, `import.meta.resolve("x")`. */
  readonly isLookUp: boolean;
  /** Whether the module may be missing: after `import()`, in a `try` block, or if the text only may be a `require`. */
  readonly isOptional: boolean;
}

export interface ScannedModule {
  readonly imports: readonly ScannedImport[];
  /** The names that other modules can import from this one. */
  readonly exports: readonly string[];
  /** The specifiers of modules that a CommonJS module re-exports. */
  readonly reexports: readonly string[];
}

/** Finds the imports and exports in the text of a compiled module. */
export function scanModule(source: string, format: ModuleFormat, id: string): ScannedModule {
  if (format === "json") return { imports: [], exports: [], reexports: [] };
  if (format === "commonjs") return scanCommonJs(source);
  try {
    return scanEsModule(source, id);
  } catch {
    // A syntax error. The target's V8 says what is wrong, as in Node.
    return { imports: [], exports: [], reexports: [] };
  }
}

function scanEsModule(source: string, id: string): ScannedModule {
  const [imports, exports] = parseModule(source, id);
  const found: ScannedImport[] = [];
  for (const entry of imports) {
    if (entry.type === "import-meta") {
      const specifier = lookUpAt(source, entry.end);
      if (specifier !== undefined) found.push({ specifier, kind: "import", ...LOOK_UP });
      continue;
    }
    if (entry.specifier === undefined || (entry.type === "dynamic" && entry.glob)) continue;
    const isDynamic = entry.type === "dynamic";
    const { specifier } = entry;
    found.push({ specifier, kind: "import", isDynamic, isLookUp: false, isOptional: isDynamic });
  }
  // `const require = createRequire(import.meta.url)`
  if (source.includes("createRequire")) {
    for (const each of scanRequires(source)) {
      if (each.kind === "require") found.push({ ...each, isDynamic: each.isLookUp, isOptional: true });
    }
  }
  return { imports: found, exports: exports.flatMap((e) => ("name" in e ? [e.name] : [])), reexports: [] };
}

const LOOK_UP = { isDynamic: true, isLookUp: true, isOptional: true };

function scanCommonJs(source: string): ScannedModule {
  const imports = scanRequires(source).map((each) => {
    const isDynamic = each.kind === "import" || each.isLookUp;
    return { ...each, isDynamic, isOptional: each.isOptional || isDynamic };
  });
  try {
    return { imports, ...parseCommonJs(source) };
  } catch {
    // The lexer cannot read this JavaScript. It still has its default export.
    return { imports, exports: [], reexports: [] };
  }
}
