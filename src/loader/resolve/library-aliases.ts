import { resolveModule } from "./resolve.ts";

/** A specifier that may lead to this library under another name: a path, or one of a package's own `imports`. */
const ALIAS = /\b(?:from|import|require)[\s(]*["']((?:\.{0,2}\/|#)[^"'\n]*)["']/g;

/**
 * Returns the specifiers by which a text imports this library, besides `mitogen`: `#mitogen`,
 * `../node_modules/mitogen/dist/index.js`.
 */
export function libraryAliases(id: string, text: string): string[] {
  const specifiers = [...text.matchAll(ALIAS)].map(([, specifier]) => specifier as string);
  return specifiers.filter((specifier) => isLibrary(specifier, id));
}

function isLibrary(specifier: string, id: string): boolean {
  try {
    const resolution = resolveModule(specifier, id, "import");
    return "builtin" in resolution && resolution.builtin === "mitogen";
  } catch {
    return false;
  }
}
