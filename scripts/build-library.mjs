/**
 * Bundles src/ into the few files of dist/: the code that `import "mitogen"` loads, and parts that are loaded when they
 * are needed.
 */
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { build } from "esbuild";

/** Packages that are not bundled, because few programs load them. */
const EXTERNAL = ["acorn", "esbuild", "picocolors", "picomatch"];

/** The files that programs import, and those that are run. */
const ENTRIES = {
  index: "src/index.ts",
  fleet: "src/fleet/index.ts",
  cli: "src/cli/program/main.ts",
  up: "src/cli/up/main.ts",
};

export async function buildLibrary(log = console.log) {
  const { metafile, outputFiles } = await build({
    entryPoints: ENTRIES,
    outdir: "dist",
    bundle: true,
    // A module that is imported with `import()` becomes a file of its own.
    splitting: true,
    chunkNames: "[name]-[hash]",
    format: "esm",
    platform: "node",
    target: "node20",
    external: EXTERNAL,
    inject: ["scripts/own-timers.mjs"],
    plugins: [keepTogether, loadBuiltinsLate, readMarkedJson],
    // No source map: stacks show these files, in which nothing is shortened, because the sources are not
    // shipped.
    legalComments: "none",
    logOverride: { "ignored-bare-import": "silent" },
    metafile: true,
    write: false,
  });
  for (const { path, text } of outputFiles) {
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, path.endsWith(".js") ? withClassNames(text) : text);
  }
  for (const [path, { bytes }] of Object.entries(metafile.outputs)) {
    if (path.endsWith(".js")) log(`${path}: ${bytes} bytes`);
  }
  copyFileSync("src/require.cjs", "dist/require.cjs");
  writeLicenses(Object.keys(metafile.inputs));
}

/** Restores the name of a class that mentions itself: esbuild makes it `class _Message`. */
function withClassNames(text) {
  const names = [...text.matchAll(/^var (\w+) = class _\1\b/gm)].map(([, name]) => name);
  return names.reduce((all, name) => all.replace(new RegExp(`\\b_${name}\\b`, "g"), ` ${name}`), text);
}

/**
 * Puts everything that the import needs into one file, because each file takes time. By itself, esbuild makes a file
 * for every set of modules that two others share. Here, parts that are loaded later share the one file.
 */
const keepTogether = {
  name: "keep-together",
  setup(build) {
    build.onResolve({ filter: /^\./ }, async ({ path, kind, ...from }) => {
      if (kind !== "dynamic-import") return undefined;
      return { ...(await build.resolve(path, { kind: "import-statement", ...from })), pluginData: "late" };
    });
    build.onLoad({ filter: /\.ts$/ }, ({ path, pluginData }) => {
      if (pluginData !== "late") return undefined;
      return { contents: `${readFileSync(path, "utf8")}\nimport "everything";\n`, loader: "ts" };
    });
    build.onResolve({ filter: /(?:fleet\/index|program\/main|up\/main)\.ts$/ }, ({ path, kind }) =>
      kind === "entry-point" ? { path: resolve(path), pluginData: "late" } : undefined,
    );
    build.onResolve({ filter: /^everything$/ }, () => ({ path: resolve("src/index.ts") }));
  },
};

/** Makes import-meta-resolve read a package.json that begins with a byte order mark, as Node does. */
const readMarkedJson = {
  name: "read-marked-json",
  setup(build) {
    build.onLoad({ filter: /import-meta-resolve\/lib\/package-json-reader\.js$/ }, ({ path }) => {
      const text = readFileSync(path, "utf8");
      const contents = text.replace("JSON.parse(string)", 'JSON.parse(string.replace(/^\\uFEFF/, ""))');
      if (contents === text) throw new Error(`${path} does not parse JSON where it did`);
      return { contents };
    });
  },
};

/**
 * Makes Node's modules load when something of them is first used. Loading them all takes about as long as loading this
 * library. An `import` of a module also reads all its exports: that of `process` opens the program's stdin.
 */
const loadBuiltinsLate = {
  name: "load-builtins-late",
  setup(build) {
    build.onResolve({ filter: /^node:|^late-builtin$/ }, ({ path, kind, namespace }) => {
      return namespace === "late" && kind === "import-statement" ? undefined : { path, namespace: "late" };
    });
    build.onLoad({ filter: /^node:/, namespace: "late" }, ({ path }) => ({ contents: lateBuiltin(path) }));
    build.onLoad({ filter: /^late-builtin$/, namespace: "late" }, () => ({ contents: LATE_BUILTIN }));
  },
};

/**
 * esbuild copies the own properties of an object for each module that imports it, so the exports are on the prototype.
 * Each is read when it is first used and then kept, as an `import` would: if the program's tests replace it later, the
 * library does not see that.
 */
function lateBuiltin(path) {
  if (path === "node:assert") return ASSERT;
  return `const { builtin } = require("late-builtin");
const kept = Object.create(null);
module.exports = Object.create(new Proxy({}, { get: (_, name) => (kept[name] ??= builtin("${path}")[name]) }));`;
}

/** Node has `getBuiltinModule` from 20.16 and 22.3 on. */
const LATE_BUILTIN = `
import { createRequire } from "node:module";
export const builtin = process.getBuiltinModule ?? createRequire(import.meta.url ?? __filename);
`;

/** The part of node:assert that import-meta-resolve needs. The whole module opens the program's stderr. */
const ASSERT = "module.exports = { ok(value, message) { if (!value) throw new Error(message); } };";

/** Writes the licenses of the packages that are part of the bundle. */
function writeLicenses(inputs) {
  const names = new Set(inputs.map((path) => /^node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(path)?.[1]));
  names.delete(undefined);
  const texts = [...names].sort().map((name) => {
    const { version } = JSON.parse(readFileSync(`node_modules/${name}/package.json`, "utf8"));
    return `${name} ${version}\n\n${readLicense(name)}`;
  });
  writeFileSync("dist/LICENSES.txt", texts.join(`\n\n${"-".repeat(80)}\n\n`));
}

function readLicense(name) {
  for (const file of ["LICENSE", "license"]) {
    try {
      return readFileSync(`node_modules/${name}/${file}`, "utf8").trim();
    } catch {
      // The other spelling.
    }
  }
  throw new Error(`${name} has no license that could be shipped`);
}
