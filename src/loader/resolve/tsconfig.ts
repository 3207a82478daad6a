import { createRequire } from "node:module";
import { dirname, isAbsolute, join, resolve } from "node:path";
import type { TsconfigRaw } from "esbuild";
import { isFile } from "../is-file.ts";
import { isInstalled } from "./package-scope.ts";
import { readSourceNow } from "./source-text.ts";

type CompilerOptions = NonNullable<TsconfigRaw["compilerOptions"]>;

/** What a tsconfig.json, with everything it extends, says about running the files below it. */
interface Tsconfig {
  /** The options that change the JavaScript that a module compiles to. */
  readonly forEsbuild: CompilerOptions;
  readonly allowJs: boolean;
  /** `paths`: each pattern with the absolute paths that it may stand for. */
  readonly paths: readonly (readonly [pattern: string, targets: readonly string[]])[];
  readonly baseUrl: string | undefined;
}

/** The options that matter here. All others are for the type checker. */
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

const NONE: Tsconfig = { forEsbuild: {}, allowJs: false, paths: [], baseUrl: undefined };

const byDirectory = new Map<string, Tsconfig>();

/** Returns the options for esbuild from the tsconfig.json of a file, which is read once per process. */
export function compilerOptions(file: string): CompilerOptions {
  return tsconfigOf(file).forEsbuild;
}

/** Whether the file's tsconfig.json makes JavaScript part of the TypeScript program. */
export function allowsJavaScript(file: string): boolean {
  return tsconfigOf(file).allowJs;
}

/** Returns the paths that a bare specifier may stand for by `paths` and `baseUrl`, in the order to try them. */
export function mappedPaths(specifier: string, file: string): string[] {
  const { paths, baseUrl } = tsconfigOf(file);
  let best: { targets: readonly string[]; star: string; length: number } | undefined;
  for (const [pattern, targets] of paths) {
    const [prefix = "", suffix] = pattern.split("*");
    if (suffix === undefined) {
      if (pattern === specifier) return [...targets];
    } else if (specifier.startsWith(prefix) && specifier.slice(prefix.length).endsWith(suffix)) {
      const star = specifier.slice(prefix.length, specifier.length - suffix.length);
      if (best === undefined || prefix.length > best.length) best = { targets, star, length: prefix.length };
    }
  }
  if (best !== undefined) {
    const { targets, star } = best;
    return targets.map((target) => target.replace("*", () => star));
  }
  return baseUrl === undefined ? [] : [join(baseUrl, specifier)];
}

/** Returns the nearest tsconfig.json. Installed packages have none: they were compiled with other options. */
function tsconfigOf(file: string): Tsconfig {
  if (isInstalled(file)) return NONE;
  // `tsx --tsconfig …`
  const named = process.env.TSX_TSCONFIG_PATH;
  return named === undefined ? nearest(dirname(file)) : remember(resolve(named), () => read(resolve(named)));
}

function nearest(directory: string): Tsconfig {
  return remember(directory, () => {
    const file = join(directory, "tsconfig.json");
    const parent = dirname(directory);
    if (isFile(file)) return read(file);
    return parent === directory ? NONE : nearest(parent);
  });
}

function remember(key: string, make: () => Tsconfig): Tsconfig {
  let config = byDirectory.get(key);
  if (config === undefined) {
    config = make();
    byDirectory.set(key, config);
  }
  return config;
}

function read(file: string): Tsconfig {
  const options = readOptions(file, new Set());
  const absolute = (path: unknown, base: string): string =>
    resolve(
      base,
      String(path).replace(CONFIG_DIR, () => dirname(file)),
    );
  const baseUrl = options.baseUrl === undefined ? undefined : absolute(options.baseUrl, dirname(file));
  const base = baseUrl ?? String(options[PATHS_BASE]);
  const paths = Object.entries(options.paths ?? {}).map(
    ([pattern, targets]) => [pattern, [targets].flat().map((target) => absolute(target, base))] as const,
  );
  return { forEsbuild: forEsbuild(options), allowJs: options.allowJs === true, paths, baseUrl };
}

/** The base of `paths` without a `baseUrl`: the directory of the file that holds them. */
const PATHS_BASE = Symbol("paths base");
const CONFIG_DIR = /^\$\{configDir\}/;

type Options = Record<string, unknown> & { [PATHS_BASE]?: string };

/**
 * Returns the compiler options of a file, which override those of the files it extends. `above` holds the files
 * that extend it, so that a circle ends.
 */
function readOptions(file: string, above: ReadonlySet<string>): Options {
  const config = above.has(file) ? undefined : parseWithComments(readSourceNow(file));
  if (config === undefined) return {};
  const bases = [config.extends ?? []].flat().filter((base) => typeof base === "string");
  const inherited = bases.map((base) => extendedFile(base, file)).filter((base) => base !== undefined);
  const chain = new Set([...above, file]);
  const own: Options = { ...(config.compilerOptions as object | undefined) };
  if (own.paths !== undefined) own[PATHS_BASE] = dirname(file);
  if (typeof own.baseUrl === "string" && !CONFIG_DIR.test(own.baseUrl))
    own.baseUrl = resolve(dirname(file), own.baseUrl);
  return Object.assign({}, ...inherited.map((base) => readOptions(base, chain)), own);
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
      // Tries the next spelling. A missing base changes nothing; the type checker reports it.
    }
  }
  return undefined;
}

function forEsbuild(all: Record<string, unknown>): CompilerOptions {
  const options: Record<string, unknown> = {};
  for (const name of RELEVANT) if (all[name] !== undefined) options[name] = all[name];
  // The version of the context decides on the syntax. But in TypeScript, `target` also decides what a class field
  // means.
  const isOld = /^es(?:[3567]|20(?:1\d|2[01]))$/i.test(String(all.target ?? "esnext"));
  if (isOld) options.useDefineForClassFields ??= false;
  // JSX that is left for a bundler would be a syntax error in a child.
  if (/^(?:preserve|react-native)$/i.test(String(options.jsx ?? ""))) options.jsx = "react-jsx";
  return options;
}

/**
 * Parses JSON with comments and trailing commas. A file with anything else changes nothing; the type checker
 * reports it.
 */
function parseWithComments(text: string): Record<string, unknown> | undefined {
  // Each alternative can also end at the end of the text, so that the search for an end is never repeated.
  const comment = /("(?:[^"\\]|\\[\s\S])*"?)|\/\/[^\n]*|\/\*[^*]*(?:\*+[^*/][^*]*)*(?:\*+\/)?/g;
  const trailingComma = /("(?:[^"\\]|\\[\s\S])*"?)|,(\s*[\]}])/g;
  try {
    return JSON.parse(text.replace(comment, "$1").replace(trailingComma, "$1$2")) ?? undefined;
  } catch {
    return undefined;
  }
}
