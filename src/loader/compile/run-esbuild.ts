import { fileURLToPath } from "node:url";
import type { TransformFailure, TransformOptions } from "esbuild";
import { LIBRARY_FILE } from "../../library.ts";
import { checkDescriptors } from "../../process/system-limits.ts";
import { ModuleError } from "../module-error.ts";
import { ownRequire } from "../own-require.ts";
import { compilerOptions } from "../resolve/tsconfig.ts";
import { StackMapper } from "./stack-mapper.ts";
import { esbuildVersion } from "./target-version.ts";

/** The descriptors needed to start esbuild's process. */
const ESBUILD_DESCRIPTORS = 8;
let hasTransformed = false;

/**
 * An empty map, appended to a text whose lines match its file. esbuild then ignores a map that the author may
 * have put in.
 */
const NO_MAP = "data:application/json,{}";

/**
 * Turns the text of a module into JavaScript for `target`. The returned map leads from there to the file. `mapOfText`
 * leads from the text to the file, and is empty if the file holds this very text. Rejects with a ModuleError that names
 * the place.
 */
export async function transform(
  id: string,
  text: string,
  target: string,
  options: TransformOptions,
  mapOfText = "",
): Promise<{ source: string; map: string }> {
  const file = id.startsWith("file:") ? fileURLToPath(id) : id;
  const esbuild = loadEsbuild();
  // esbuild starts a process, and crashes the program if that fails.
  if (!hasTransformed) checkDescriptors(ESBUILD_DESCRIPTORS);
  try {
    // esbuild chains the new map to the map at the end of the text.
    const { code, map } = await esbuild.transform(`${text}\n//# sourceMappingURL=${dataUrl(mapOfText)}`, {
      platform: "node",
      target: `node${esbuildVersion(target)}`,
      charset: "utf8",
      legalComments: "none",
      sourcemap: "external",
      sourcesContent: false,
      sourcefile: file,
      logLevel: "silent",
      tsconfigRaw: { compilerOptions: options.loader === "js" ? {} : compilerOptions(file) },
      // Attributes are removed later if the target does not know them.
      supported: { "import-attributes": true },
      ...options,
    });
    hasTransformed = true;
    return { source: code, map };
  } catch (error) {
    throw compileError(id, target, error as TransformFailure, mapOfText);
  }
}

/** Returns JavaScript as esbuild prints it, with nothing lowered. */
export async function reprinted(source: string): Promise<string> {
  const { code } = await loadEsbuild().transform(source, {
    loader: "js",
    target: "esnext",
    charset: "utf8",
    legalComments: "none",
  });
  return code;
}

/**
 * Loads esbuild. Late, because a program whose modules are all JavaScript never needs it; and not by `import()`, which
 * bundlers follow: esbuild cannot be part of a bundle.
 */
function loadEsbuild(): typeof import("esbuild") {
  try {
    return ownRequire()("esbuild");
  } catch (cause) {
    const message = `Cannot compile modules: the package esbuild is not installed where ${LIBRARY_FILE} finds it; install it there`;
    throw (cause as { code?: unknown }).code === "MODULE_NOT_FOUND" ? new Error(message, { cause }) : cause;
  }
}

function dataUrl(map: string): string {
  return map === "" ? NO_MAP : `data:application/json;base64,${Buffer.from(map).toString("base64")}`;
}

function compileError(id: string, target: string, failure: TransformFailure, map: string): ModuleError {
  const places = new StackMapper();
  places.add(id, "", map);
  const first = failure.errors?.[0];
  const place = first?.location;
  // At the end of the text esbuild finds the line that was added to it.
  const isEnd = place?.lineText.startsWith("//# sourceMappingURL=") === true;
  const at = isEnd ? `${(place?.line ?? 1) - 1}:1` : `${place?.line}:${(place?.column ?? 0) + 1}`;
  const where = place ? places.originalStack(`${id}:${at}`) : id;
  const text = (first?.text ?? failure.message).replace(/ \+ \d+ overrides?\)/, ")");
  const line = place && !isEnd ? `: ${place.lineText.trim().slice(0, 200)}` : "";
  const cure = /target environment/.test(text)
    ? `; start the context with a newer node (nodePath), or move this code into a module that is not sent there`
    : "";
  const message = `Cannot compile ${where} for Node ${target}: ${text}${line}${cure}`;
  return new ModuleError("ERR_MODULE_COMPILE", message, { cause: failure });
}
