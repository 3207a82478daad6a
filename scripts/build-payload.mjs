/** Bundles the payload and the parts that follow it, as src/layers.json lists them, checks them, and writes *.generated.ts. */
import { readFileSync, writeFileSync } from "node:fs";
import { relative, resolve } from "node:path";
import { brotliCompressSync, constants, deflateRawSync } from "node:zlib";
import { build } from "esbuild";
import { manifest, mayTravel, sharedModule, sharedStub, sources } from "./layers.mjs";
import { keepMinified, minify } from "./minify.mjs";
import { clashes, RESERVED_NAMES, shortenedNames } from "./short-names.mjs";

/** docs/bootstrap.md#budgets */
export const PAYLOAD_BUDGET_BYTES = 19_107;
export const COMMAND_BUDGET_BYTES = 960;

/** For `await using` before Node 18.18: compiled code looks for this symbol, and classes name a method by it. */
const DISPOSE_SYMBOL =
  'Symbol.asyncDispose||Reflect.defineProperty(Symbol,"asyncDispose",{value:Symbol.for("Symbol.asyncDispose")})';

const OPTIONS = {
  bundle: true,
  format: "cjs",
  platform: "node",
  target: "node12.22",
  // esbuild's table is cautious: Node 12 has both, and lowered to WeakMaps they are slow and large.
  supported: { "class-field": true, "class-private-field": true },
  minify: true,
  write: false,
  metafile: true,
  legalComments: "none",
  // The compiler's `private` does not shorten names; #private methods would, but lowered to Node 12 they are
  // slow and large.
  mangleProps: shortenedNames(
    sources()
      .filter((name) => !name.endsWith(".generated.ts"))
      .map((name) => readFileSync(`src/${name}`, "utf8")),
  ),
};
/** The short names in the payload, which is built first. Its parts use the same names. */
let shortNames = RESERVED_NAMES;

export async function buildPayload(log = console.log) {
  writeGenerated("remote/shared", sharedModule("remote"));
  const payload = await bundle(manifest.payload, {
    // An expression that stage 1 and the broker thread evaluate and call: docs/bootstrap.md.
    before: `(function(require,source,payload,nonce){${DISPOSE_SYMBOL};`,
    after: "})\n//# sourceURL=mitogen:payload",
  });
  const compressed = brotliCompressSync(payload.text, {
    params: {
      [constants.BROTLI_PARAM_QUALITY]: 11,
      [constants.BROTLI_PARAM_LGWIN]: 18,
      [constants.BROTLI_PARAM_MODE]: constants.BROTLI_MODE_FONT,
    },
  });
  log(
    `payload: ${payload.text.length} bytes, ${compressed.length} compressed (budget ${PAYLOAD_BUDGET_BYTES})`,
  );
  log(`  largest: ${payload.largest}`);
  if (compressed.length > PAYLOAD_BUDGET_BYTES) throw new Error("The payload is over its budget");
  write("payload", "PAYLOAD", compressed.toString("base64"));
  await checkCommand(compressed.length, log);

  for (const [name, part] of Object.entries(manifest.parts)) {
    const bundled = await bundle(part, {
      before: "(function(require,shared){var module={exports:{}};",
      after: `;return module.exports})\n//# sourceURL=mitogen:${name}`,
      plugins: [takeFromPayload],
    });
    const packed = deflateRawSync(bundled.text, { level: 9 });
    log(`${name}: ${bundled.text.length} bytes, ${packed.length} compressed`);
    write(name, `${name.toUpperCase().replace("-", "_")}_PART`, packed.toString("base64"));
  }

  for (const [name, program] of Object.entries(manifest.programs)) {
    const { text } = await bundle(program, {
      before: "(function(require){var module={exports:{}};",
      after: ";return module.exports})",
    });
    write(name, `${name.toUpperCase().replace("-", "_")}_SOURCE`, text);
  }
  keepMinified();
}

/** The command line depends on the length of the payload. */
async function checkCommand(payloadBytes, log) {
  const options = { bundle: true, format: "esm", platform: "node", write: false };
  const { outputFiles } = await build({ ...options, entryPoints: ["src/bootstrap/command.ts"] });
  const source = Buffer.from(outputFiles[0].contents).toString("base64");
  const { bootCommand } = await import(`data:text/javascript;base64,${source}`);
  const { length } = bootCommand("0123456789abcdef", payloadBytes, []);
  log(`command line: ${length} bytes (budget ${COMMAND_BUDGET_BYTES})`);
  if (length > COMMAND_BUDGET_BYTES) throw new Error("The command line is over its budget");
}

async function bundle({ entry, takes }, { before, after, plugins = [] }) {
  const entryPoint = `src/${entry}`;
  const options = { ...OPTIONS, entryPoints: [entryPoint], mangleCache: shortNames };
  const plain = { mangleProps: undefined, mangleCache: undefined };
  const uses = await build({ ...options, ...plain, plugins, format: "esm" });
  const whole = uses.outputFiles[0].text;
  const result = await build({ ...options, plugins: [...plugins, requireOnce(whole)] });
  shortNames = result.mangleCache;
  const same = clashes(whole, shortNames);
  if (same.length > 0) {
    throw new Error(
      `${entryPoint} has members of one name: ${same.join("; ")}; rename one, or add the short name to RESERVED_NAMES`,
    );
  }
  // A second minifier: it knows tricks that esbuild leaves alone for speed, and saves another 5 %.
  const code = await minify(result.outputFiles[0].text, {
    compress: {
      passes: 3,
      inline: 1,
      ecma: 2019,
      hoist_funs: true,
      lhs_constants: false,
      sequences: false,
      unsafe_arrows: true,
      unsafe_methods: true,
    },
    format: { ascii_only: true },
    module: true, // the names at the top are private to the bundle, and the code is strict
  });
  const text = before + code + after;
  const inputs = Object.entries(Object.values(result.metafile.outputs)[0].inputs);
  const strays = inputs
    .map(([path]) => path)
    .filter((path) => !/^(once|shared):/.test(path))
    .filter((path) => !mayTravel(takes)(path));
  if (strays.length > 0) throw new Error(`${entryPoint} may not bring ${strays.join(", ")}`);
  // The text is written into a string and compared byte for byte. Anything but ASCII would depend on locales.
  if (/[^\n\t\x20-\x7e]/.test(text)) throw new Error(`The bundle of ${entryPoint} is not plain ASCII`);
  const largest = inputs
    .sort(([, a], [, b]) => b.bytesInOutput - a.bytesInOutput)
    .slice(0, 5)
    .map(([path, { bytesInOutput }]) => `${path.replace("src/", "")} ${bytesInOutput}`)
    .join(", ");
  return { text, largest };
}

/**
 * Makes `text` require each of Node's modules once. esbuild requires a module once for each importer, and writes
 * `(0, fs1.openSync)()`.
 */
function requireOnce(text) {
  const names = new Map();
  const whole = new Set([...text.matchAll(/\bimport ?[^{"][^"]*from"(node:\w+)"/g)].map(([, path]) => path));
  for (const [, list, path] of text.matchAll(/\bimport\{([^}]*)\}from"(node:\w+)"/g)) {
    if (whole.has(path)) continue;
    const known = names.get(path) ?? new Set();
    for (const each of list.split(",")) known.add(each.split(" as ")[0]);
    names.set(path, known);
  }
  return {
    name: "require-once",
    setup(build) {
      build.onResolve({ filter: /^node:/ }, ({ path, namespace }) =>
        // The name that Node 12 knows as well.
        namespace !== "once" && names.has(path)
          ? { path, namespace: "once" }
          : { path: path.slice(5), external: true },
      );
      build.onLoad({ filter: /.*/, namespace: "once" }, ({ path }) => ({
        contents: `export const { ${[...names.get(path)].join(", ")} } = require("${path.slice(5)}");`,
      }));
    },
  };
}

/**
 * Replaces the shared modules by the objects that the payload hands over. An import that it does not share fails the build.
 */
const takeFromPayload = {
  name: "take-from-payload",
  setup(build) {
    build.onResolve({ filter: /^\.\.?\// }, ({ path, resolveDir }) => {
      const file = relative(resolve("src"), resolve(resolveDir, path)).replaceAll("\\", "/");
      return sharedStub(file) === undefined ? undefined : { path: file, namespace: "shared" };
    });
    build.onLoad({ filter: /.*/, namespace: "shared" }, ({ path }) => ({ contents: sharedStub(path) }));
  },
};

function write(name, constant, text) {
  writeGenerated(`bootstrap/${name}`, `export const ${constant}: string =\n  ${JSON.stringify(text)};\n`);
}

function writeGenerated(path, text) {
  writeFileSync(`src/${path}.generated.ts`, `// Generated by scripts/build-payload.mjs.\n${text}`);
}
