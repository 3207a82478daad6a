import { extname } from "node:path";
import { fileURLToPath } from "node:url";
import { ModuleError, type ModuleErrorCode } from "../module-error.ts";
import { isTypeScript, runsUnderLoader } from "../resolve/typescript-rules.ts";
import { COMPUTED, type ImportType } from "../syntax/import-attributes.ts";

/**
 * The extensions that Node evaluates, and those that this library compiles or refuses with a clearer error.
 * `import` knows no others.
 */
const KNOWN = /^(?:|\.[cm]?[jt]s|\.[jt]sx|\.json|\.node)$/;

/** Errors that keep their own code. */
const IMPORT_CODES = new Set([
  "ERR_UNKNOWN_FILE_EXTENSION",
  "ERR_UNKNOWN_MODULE_FORMAT",
  "ERR_IMPORT_ATTRIBUTE_MISSING",
  "ERR_IMPORT_ATTRIBUTE_TYPE_INCOMPATIBLE",
]);

/**
 * Does Node's checks of the file that an `import` means: its extension must stand for a format, and JSON must
 * be imported as JSON. Throws Node's own error. TypeScript, and programs under a loader, may import JSON
 * without an attribute, as under tsx.
 */
export function checkImport(id: string, parentId: string, type: ImportType | undefined): void {
  const extension = id.startsWith("file:") ? extname(fileURLToPath(id)) : "";
  if (!KNOWN.test(extension)) {
    const text = `Unknown file extension "${extension}" for ${fileURLToPath(id)}`;
    throw nodeError("ERR_UNKNOWN_FILE_EXTENSION", text);
  }
  const isJson = extension === ".json" || id.startsWith("data:application/json");
  if (isJson && type === undefined && !isTypeScript(parentId) && !runsUnderLoader()) {
    const text = `Module "${id}" needs an import attribute of "type: json"`;
    throw nodeError("ERR_IMPORT_ATTRIBUTE_MISSING", text);
  }
  if (!isJson && type !== undefined && type !== COMPUTED) {
    const text = `Module "${id}" is not of type "${type}"`;
    throw nodeError("ERR_IMPORT_ATTRIBUTE_TYPE_INCOMPATIBLE", text);
  }
}

/** Makes the error for an `import` that has no module, or not one that Node would import. */
export function importError(
  specifier: string,
  id: string,
  cause: { code?: string; message: string },
): ModuleError {
  if (IMPORT_CODES.has(cause.code ?? "")) {
    const text = `Cannot import '${specifier}' in ${id}: ${cause.message}`;
    return new ModuleError(cause.code as ModuleErrorCode, text, { cause });
  }
  const isMissing = cause.code === "ERR_MODULE_NOT_FOUND" || cause.code === "ERR_UNSUPPORTED_DIR_IMPORT";
  const detail = isMissing ? "" : `: ${cause.message}`;
  const text = `Cannot find module '${specifier}' imported from ${id}${detail}`;
  return new ModuleError("ERR_MODULE_NOT_FOUND", text, { cause });
}

function nodeError(code: string, message: string): TypeError {
  return Object.assign(new TypeError(message), { code });
}
