import { extname } from "node:path";
import { fileURLToPath } from "node:url";
import { compileFunction } from "node:vm";
import { parse as lex } from "es-module-lexer";
import { parseProgram } from "../syntax/parser.ts";
import { isInstalled, packageScope } from "./package-scope.ts";

const CODE = new Set([".js", ".mjs", ".cjs", ".ts", ".mts", ".cts", ".jsx", ".tsx"]);

/** Whether a file is code, or JSON that an installed package ships with its code. */
export function isCode(file: string): boolean {
  const extension = extname(file);
  return CODE.has(extension) || (extension === ".json" && isInstalled(file));
}

/** Returns the format that extension and package.json determine. Undefined if the syntax decides, as in Node. */
export function declaredFormat(id: string): "module" | "commonjs" | undefined {
  const file = fileURLToPath(id);
  const extension = extname(file);
  if (extension === ".mjs" || extension === ".mts") return "module";
  if (extension === ".cjs" || extension === ".cts") return "commonjs";
  return packageScope(file)?.type;
}

/** Returns the format that the syntax shows: a module if the text uses syntax that only modules have. */
export function detectedFormat(source: string): "module" | "commonjs" {
  try {
    if (lex(source)[3]) return "module";
  } catch {
    return "commonjs";
  }
  // V8 checks only for early errors, which is far cheaper than parsing. Most files are decided here.
  if (!source.includes("await") || isCommonJs(source)) return "commonjs";
  return parses(source, "module") && !parses(source, "script") ? "module" : "commonjs";
}

function isCommonJs(source: string): boolean {
  try {
    const names = ["exports", "require", "module", "__filename", "__dirname"];
    compileFunction(source.replace(/^#!/, "//"), names);
    return true;
  } catch {
    return false;
  }
}

function parses(source: string, sourceType: "script" | "module"): boolean {
  try {
    parseProgram(source, {
      ecmaVersion: "latest",
      sourceType,
      allowHashBang: true,
      allowReturnOutsideFunction: sourceType === "script",
      allowAwaitOutsideFunction: sourceType === "module",
    });
    return true;
  } catch {
    return false;
  }
}
