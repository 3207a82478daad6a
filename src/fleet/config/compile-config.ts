import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, extname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import type { BuildFailure, Loader, Plugin } from "esbuild";
import { LIBRARY_FILE, libraryUrl } from "../../library.ts";
import { ownRequire } from "../../loader/own-require.ts";
import { resolveModule } from "../../loader/resolve/resolve.ts";
import { checkDescriptors } from "../../process/system-limits.ts";
import { messageOf } from "../../wire/values/thrown.ts";

/** The descriptors needed to start esbuild's process. */
const ESBUILD_DESCRIPTORS = 8;
/** Replaces `import.meta.url` in a compiled module, because several modules become one. */
const URL_NAME = "__mitogenConfigUrl";

/**
 * Imports a config in TypeScript, whatever this Node knows of TypeScript. The config and the files that it imports by
 * relative paths are compiled into one module; packages are imported as Node imports them.
 */
export async function importTypeScript(file: string): Promise<{ default?: unknown }> {
  // A module needs a file, and the config's folder may be read-only.
  const folder = mkdtempSync(join(tmpdir(), "mitogen-config-"));
  try {
    const code = await compile(file, folder);
    const path = join(folder, "mitogen.config.mjs");
    writeFileSync(path, code, { mode: 0o600 });
    return (await import(pathToFileURL(path).href)) as { default?: unknown };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/**
 * The module removes `folder`, which contains it, before it runs: the text of the config must not stay on the disk if
 * the program ends meanwhile.
 */
async function compile(file: string, folder: string): Promise<string> {
  const { build } = ownRequire()("esbuild") as typeof import("esbuild");
  checkDescriptors(ESBUILD_DESCRIPTORS);
  try {
    const { outputFiles } = await build({
      entryPoints: [file],
      absWorkingDir: dirname(file),
      bundle: true,
      write: false,
      format: "esm",
      platform: "node",
      target: "node20",
      charset: "utf8",
      logLevel: "silent",
      sourcemap: "inline",
      banner: {
        js: `import { rmSync as __mitogenRemove } from "node:fs"; __mitogenRemove(${JSON.stringify(folder)}, { recursive: true, force: true });`,
      },
      define: {
        "import.meta.url": URL_NAME,
        "import.meta.filename": `${URL_NAME}File`,
        "import.meta.dirname": `${URL_NAME}Folder`,
      },
      plugins: [relativeImportsOnly],
    });
    return outputFiles[0]?.text ?? "";
  } catch (error) {
    const { errors } = error as BuildFailure;
    const first = errors?.[0];
    if (first === undefined) throw error;
    const { location } = first;
    const place = location === null ? "" : `${location.file}:${location.line}:${location.column + 1}: `;
    throw new Error(`${place}${first.text}`, { cause: error });
  }
}

const LOADERS: Readonly<Record<string, Loader>> = { ".ts": "ts", ".mts": "ts", ".js": "js", ".mjs": "js" };

const relativeImportsOnly: Plugin = {
  name: "relative-imports-only",
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /^[^./]/ }, ({ path, importer, kind }) => {
      if (kind === "entry-point" || importer === "") return undefined;
      try {
        return { path: packageUrl(path, pathToFileURL(importer).href), external: true };
      } catch (error) {
        return { errors: [{ text: messageOf(error) }] };
      }
    });
    onLoad({ filter: /\.m?[tj]s$/ }, ({ path }) => {
      const url = JSON.stringify(pathToFileURL(path).href);
      const text = readFileSync(path, "utf8").replace(/^\uFEFF/, "");
      const usesFile = text.includes("import.meta.filename");
      const usesFolder = text.includes("import.meta.dirname");
      const lines = [
        ...(text.includes("import.meta.url") ? [`const ${URL_NAME} = ${url};`] : []),
        ...(usesFile ? [`const ${URL_NAME}File = ${JSON.stringify(path)};`] : []),
        ...(usesFolder ? [`const ${URL_NAME}Folder = ${JSON.stringify(join(path, ".."))};`] : []),
      ];
      return { contents: `${lines.join(" ")}${text}`, loader: LOADERS[extname(path)] ?? "ts" };
    });
  },
};

/** Imports of this library lead to the copy that runs, so that a config works without an installed one. */
function packageUrl(specifier: string, parentUrl: string): string {
  if (specifier === "mitogen") return libraryUrl(`index${extension()}`);
  if (specifier === "mitogen/fleet") return fleetUrl();
  const found = resolveModule(specifier, parentUrl, "import");
  return "id" in found ? found.id : found.builtin;
}

function fleetUrl(): string {
  const bundled = libraryUrl("fleet.js");
  return existsSync(fileURLToPath(bundled)) ? bundled : libraryUrl(`fleet/index${extension()}`);
}

function extension(): string {
  return extname(new URL(LIBRARY_FILE).pathname);
}
