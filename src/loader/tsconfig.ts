import { existsSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, isAbsolute, join, resolve } from "node:path";
import type { TsconfigRaw } from "esbuild";

type CompilerOptions = NonNullable<TsconfigRaw["compilerOptions"]>;

/** The options that change what JavaScript a module becomes; all others are for the type checker. */
const RELEVANT = [
  ...["experimentalDecorators", "useDefineForClassFields", "verbatimModuleSyntax", "alwaysStrict", "strict"],
  ...[
    "jsx",
    "jsxFactory",
    "jsxFragmentFactory",
    "jsxImportSource",
    "importsNotUsedAsValues",
    "preserveValueImports",
  ],
] as const;

const MAX_EXTENDS = 20;

const byDirectory = new Map<string, CompilerOptions>();

/** The compiler options that the nearest tsconfig.json gives for a file, `extends` included; read once per process. */
export function compilerOptions(file: string): CompilerOptions {
  return optionsOfDirectory(dirname(file));
}

function optionsOfDirectory(directory: string): CompilerOptions {
  let options = byDirectory.get(directory);
  if (options === undefined) {
    const file = join(directory, "tsconfig.json");
    const parent = dirname(directory);
    if (existsSync(file)) options = forEsbuild(readOptions(file, 0));
    else options = parent === directory ? {} : optionsOfDirectory(parent);
    byDirectory.set(directory, options);
  }
  return options;
}

function readOptions(file: string, depth: number): Record<string, unknown> {
  const config = parseWithComments(readFileSync(file, "utf8"));
  if (config === undefined || depth > MAX_EXTENDS) return {};
  const bases = [config.extends ?? []].flat().filter((base) => typeof base === "string");
  const inherited = bases.map((base) => extendedFile(base, file)).filter((base) => base !== undefined);
  return Object.assign({}, ...inherited.map((base) => readOptions(base, depth + 1)), config.compilerOptions);
}

function extendedFile(base: string, from: string): string | undefined {
  if (base.startsWith(".") || isAbsolute(base)) {
    const path = resolve(dirname(from), base);
    return [path, `${path}.json`, join(path, "tsconfig.json")].find((candidate) => isFile(candidate));
  }
  const require = createRequire(from);
  for (const candidate of [base, `${base}.json`, `${base}/tsconfig.json`]) {
    try {
      const found = require.resolve(candidate);
      if (found.endsWith(".json")) return found;
    } catch {
      // The next spelling; a base that is nowhere changes nothing, the type checker reports it.
    }
  }
  return undefined;
}

function forEsbuild(all: Record<string, unknown>): CompilerOptions {
  const options: Record<string, unknown> = {};
  for (const name of RELEVANT) if (all[name] !== undefined) options[name] = all[name];
  // `target` itself is the other side's Node; but TypeScript lets it decide what a class field means.
  const isOld = /^es(?:[3567]|20(?:1\d|2[01]))$/i.test(String(all.target ?? "esnext"));
  if (isOld) options.useDefineForClassFields ??= false;
  // JSX left for a bundler would be a syntax error in a child.
  if (/^(?:preserve|react-native)$/i.test(String(options.jsx ?? ""))) options.jsx = "react-jsx";
  return options;
}

/** JSON with comments and trailing commas. A file that is not even that changes nothing: the type checker reports it. */
function parseWithComments(text: string): Record<string, unknown> | undefined {
  const token =
    /"(?:[^"\\]|\\.)*"|\/\/[^\n]*|\/\*[\s\S]*?\*\/|,(?=(?:\s|\/\/[^\n]*|\/\*[\s\S]*?\*\/)*[\]}])/g;
  try {
    return JSON.parse(text.replace(/^\uFEFF/, "").replace(token, (match) => (match[0] === '"' ? match : "")));
  } catch {
    return undefined;
  }
}

function isFile(path: string): boolean {
  try {
    readFileSync(path);
    return true;
  } catch {
    return false;
  }
}
