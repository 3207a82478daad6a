import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import type { Loader, TransformOptions } from "esbuild";
import type { ModuleFormat } from "../module-record.ts";
import { declaredFormat, detectedFormat } from "../resolve/module-format.ts";
import { mayCompileToCommonJs } from "../resolve/typescript-rules.ts";
import type { Draft } from "./draft-cache.ts";
import { reprinted, transform } from "./run-esbuild.ts";
import { isOld } from "./target-version.ts";

/** Turns the text of a file into JavaScript for a target, as the program's own loader would. */
export function toJavaScript(id: string, text: string, loader: Loader, target: string): Promise<Draft> {
  if (loader !== "js") return fromTypeScript(id, text, loader, target);
  const format = declaredFormat(id) ?? detectedFormat(text);
  return lower(id, { format, source: text, map: "" }, target);
}

/** Lowers JavaScript for an older Node. Returns the text itself if nothing changes. */
export async function lower(id: string, draft: Draft, target: string): Promise<Draft> {
  const { source, map } = draft;
  if (!isOld(target)) return draft;
  const lowered = await transform(id, source, target, { loader: "js" }, map);
  // Printing alone changes the text. To find out whether anything was lowered, two printed forms are compared.
  return lowered.source === (await reprinted(source)) ? draft : { ...draft, ...lowered };
}

async function fromTypeScript(id: string, text: string, loader: Loader, target: string): Promise<Draft> {
  const declared = declaredFormat(id);
  if (declared === "commonjs") {
    const output = await transform(id, text, target, {
      loader,
      format: "cjs",
      define: importMeta(id),
    });
    return { ...output, format: declared };
  }
  // tsx runs TypeScript of a package without a type as CommonJS, whichever syntax it uses.
  const options: TransformOptions = isEither(declared) ? { loader, define: commonJsPaths(id) } : { loader };
  let output = await transform(id, text, target, options);
  const format = declared ?? detectedFormat(output.source);
  if (format === "module" && wantsRequire(text, declared)) {
    output = await transform(id, text, target, { ...options, banner: REQUIRE });
  }
  return { ...output, format };
}

/** Whether the program's loader may run TypeScript without a declared format as ES module or as CommonJS. */
export function isEither(declared: ModuleFormat | undefined): boolean {
  return declared === undefined && mayCompileToCommonJs();
}

/** Whether an ES module in TypeScript uses a `require` that it does not define. */
function wantsRequire(text: string, declared: ModuleFormat | undefined): boolean {
  if (/^[\t ]*(?:export\s+)?import\s+[\w$]+\s*=\s*require\s*\(/m.test(text)) return true;
  return (
    isEither(declared) &&
    /\brequire\s*[.(]/.test(text) &&
    !/\b(?:createRequire|(?:const|let|var|function)\s+require)\b/.test(text)
  );
}

const REQUIRE =
  'import { createRequire as __createRequire } from "node:module"; const require = __createRequire(import.meta.url);';

function commonJsPaths(id: string): Record<string, string> {
  const file = fileURLToPath(id);
  return { __filename: JSON.stringify(file), __dirname: JSON.stringify(dirname(file)) };
}

/** The `import.meta` that tsx gives to CommonJS. */
function importMeta(id: string): Record<string, string> {
  const { __filename, __dirname } = commonJsPaths(id) as { __filename: string; __dirname: string };
  return {
    "import.meta.url": JSON.stringify(id),
    "import.meta.filename": __filename,
    "import.meta.dirname": __dirname,
  };
}
