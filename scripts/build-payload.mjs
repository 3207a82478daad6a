/** Bundles what travels, the payload and the parts that follow it, checks it, and writes src/bootstrap/*.generated.ts. */
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { relative, resolve } from "node:path";
import { brotliCompressSync, constants, deflateRawSync } from "node:zlib";
import { build } from "esbuild";
import { minify } from "terser";

/** design.md section 4. */
export const PAYLOAD_BUDGET_BYTES = 19_107;
export const COMMAND_BUDGET_BYTES = 960;

/** What may travel; a stray import must not ship controller code to a target host. */
const MAY_TRAVEL = [
  /^src\/errors\.ts$/,
  /^src\/(wire|core|calls|remote)\//,
  /^src\/loader\/(importer|builtins|module-record|read-answer)\.ts$/,
  /^src\/bootstrap\/ready\.ts$/,
];

/** What travels later, when it is first needed: docs/architecture.md#parts-that-travel-later. */
const PARTS = [
  {
    name: "thread",
    entryPoint: "src/remote/thread-context.ts",
    mayTravel: [...MAY_TRAVEL, /^shared:/],
  },
  {
    name: "parent-role",
    entryPoint: "src/connection/parent-role.ts",
    mayTravel: [
      ...MAY_TRAVEL,
      /^src\/connection\/(?!router|run-with-router|semaphore|connect(ing-router|or)|external-context|local-|unix-)/,
      /^src\/loader\/module-forwarder\.ts$/,
      /^src\/bootstrap\/(command|config-frame|handshake|history|thread\.generated)\.ts$/,
      /^shared:/,
    ],
  },
  {
    name: "evaluator",
    entryPoint: "src/loader/evaluator.ts",
    mayTravel: [
      /^src\/loader\/(evaluator|commonjs|es-module-requires|fetch-sync|hide-command-line|module-record|read-answer|unpack-module)\.ts$/,
      /^src\/wire\/(handles|thrown)\.ts$/,
      /^shared:/,
    ],
  },
  {
    name: "api",
    entryPoint: "src/remote/api.ts",
    mayTravel: [
      ...MAY_TRAVEL,
      /^src\/(service|files|commands)\//,
      // What the program's router and a context's have in common.
      /^src\/connection\/(connecting-router|connector|connect-error|countdown|debug-context|kept-context|method|semaphore|shell-quote)\.ts$/,
      /^src\/loader\/builtin-functions\.ts$/,
      /^shared:/,
    ],
  },
  {
    // Goes to a context whose children have no node: src/connection/runtime/.
    name: "provision",
    entryPoint: "src/connection/runtime/hop-part.ts",
    mayTravel: [
      /^src\/connection\/(shell-quote|runtime\/(hop-part|plan|provisioner|target-\w+|unpacked|provision-failures|cache-provisioning|memory-provisioning))\.ts$/,
    ],
  },
  {
    name: "short-way",
    entryPoint: "src/short-way/main-thread-end.ts",
    mayTravel: [
      /^src\/(short-way\/(main-thread-end|two-ways)|core\/write-now|wire\/(frame|frame-decoder|handles|thrown))\.ts$/,
      /^shared:/,
    ],
  },
];

/** What runs as a program of its own beside this one, on the program's Node: src/fakessh/ssh-folder.ts. */
const SSH_PROGRAM = {
  entryPoint: "src/fakessh/ssh-program.ts",
  mayTravel: [/^src\/(fakessh\/ssh-(program|frames)|core\/release|wire\/frame)\.ts$/],
};

/** What these find in the payload: src/remote/library-parts.ts. An empty list stands for everything. */
const SHARED = {
  "core/call-error": ["callErrorFrom"],
  "core/context": ["Context"],
  "core/function-ref": ["FunctionRef"],
  "core/log": ["addLogSink", "getLogger", "LogLevel"],
  "core/message": ["deadReason", "Message"],
  "core/router": ["CoreRouter"],
  "core/sender": ["Sender"],
  "core/stream-link": ["StreamLink"],
  "wire/decoder": ["decodeValue"],
  "wire/encoder": ["encodeValue", "setPlainForm"],
  "wire/blob": ["Blob"],
  "wire/secret": ["Secret"],
  errors: [],
  "loader/builtins": ["API", "builtinExports", "isBuiltin", "MITOGEN"],
  "bootstrap/payload": ["payloadBytes"],
};

/** For `await using` before Node 18.18: compiled code looks for this symbol, and classes name a method by it. */
const DISPOSE_SYMBOL =
  'Symbol.asyncDispose||Reflect.defineProperty(Symbol,"asyncDispose",{value:Symbol.for("Symbol.asyncDispose")})';

/**
 * Members of what is ours alone, by which the payload and its parts know each other's objects: user code never sees them, nothing is looked
 * up by them, and none is a key of what travels.
 */
const INTERNAL_NAMES = [
  // What moves frames.
  ...["addRoute", "answerDead", "deadFrame", "delRoutes", "endHandlers", "endRespondents", "firstHandle"],
  ...[
    "framePolicy",
    "freeCreditHandle",
    "freeHandle",
    "handlerCount",
    "hasAuthority",
    "hasHandler",
    "isAbove",
  ],
  ...["isPersistent", "isService", "isStuck", "onBackedUp", "onContextsLost", "onForwarded", "onParentLost"],
  ...["peerOf", "respondentId", "respondentIds", "routeFrame", "routedIds", "unlisten"],
  // Links.
  ...["directBytes", "flushBeforeExit", "hasOutput", "isLeft", "noteRead", "onBytes", "onClosed"],
  ...[
    "onDrained",
    "onFrame",
    "onLeft",
    "pendingBytes",
    "releaseIfIdle",
    "sendBytes",
    "takeSpent",
    "askMaster",
    "waitFor",
  ],
  ...["writeDirectlyTo"],
  // Calls, and what contexts ask their routers for.
  ...[
    "bindCalls",
    "cancelReason",
    "hasReferences",
    "isQuiet",
    "markGone",
    "newChain",
    "newCredits",
    "newHandle",
  ],
  ...["newWindow", "onCancelled", "originalStack", "requireFeatures", "shutdownContext"],
  ...["goneListeners", "setPlainForm"],
  ...["countFor", "parentPid", "startTime", "waitingFor"],
];

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
  // The compiler's `private` does not shorten names; #private methods would, but lowered to Node 12 they are slow and large.
  mangleProps: privateNames(),
};
/** What the payload, which is built first, calls them; its parts do the same. */
let shortNames = {};

/** Private and protected members, where the name cannot be anything else: camelCase, and only ever written `this.name`. */
function privateNames() {
  const sources = readdirSync("src", { recursive: true })
    .filter((name) => name.endsWith(".ts") && !name.endsWith(".generated.ts"))
    .map((name) => readFileSync(`src/${name}`, "utf8"));
  const text = sources.join("\n");
  const declared = [
    ...text.matchAll(/^ {2}(?:private|protected) (?:static |readonly |async |override )*(\w+)/gm),
  ].map(([, name]) => name);
  const names = [...new Set(declared)].filter((name) => {
    if (!/[a-z][A-Z]/.test(name)) return false;
    const uses = [...text.matchAll(new RegExp(`(\\S*)\\b${name}\\b`, "g"))].map(([, before]) => before);
    return uses.every((before) => before === "" || /\bthis\.$/.test(before));
  });
  return new RegExp(`^(${[...names, ...INTERNAL_NAMES].join("|")})$`);
}

export async function buildPayload(log = console.log) {
  const payload = await bundle("src/remote/main.ts", MAY_TRAVEL, {
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

  for (const { name, entryPoint, mayTravel } of PARTS) {
    const part = await bundle(entryPoint, mayTravel, {
      before: "(function(require,shared){var module={exports:{}};",
      after: `;return module.exports})\n//# sourceURL=mitogen:${name}`,
      plugins: [takeFromPayload],
    });
    const packed = deflateRawSync(part.text, { level: 9 });
    log(`${name}: ${part.text.length} bytes, ${packed.length} compressed`);
    write(name, `${name.toUpperCase().replace("-", "_")}_PART`, packed.toString("base64"));
  }

  const program = await bundle(SSH_PROGRAM.entryPoint, SSH_PROGRAM.mayTravel, {
    before: "(function(require){var module={exports:{}};",
    after: ";return module.exports})",
  });
  write("ssh-program", "SSH_PROGRAM_SOURCE", program.text);
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

async function bundle(entryPoint, mayTravel, { before, after, plugins = [] }) {
  const options = { ...OPTIONS, entryPoints: [entryPoint], mangleCache: shortNames };
  const uses = await build({ ...options, plugins, format: "esm" });
  const result = await build({ ...options, plugins: [...plugins, requireOnce(uses.outputFiles[0].text)] });
  shortNames = result.mangleCache;
  // A second minifier: it knows tricks that esbuild leaves alone for speed, and takes another 5 %.
  const { code } = await minify(result.outputFiles[0].text, {
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
    module: true, // what is at the top is nobody else's, and strict
  });
  const text = before + code + after;
  const inputs = Object.entries(Object.values(result.metafile.outputs)[0].inputs);
  const strays = inputs
    .map(([path]) => path)
    .filter((path) => !path.startsWith("once:"))
    .filter((path) => !mayTravel.some((rule) => rule.test(path)));
  if (strays.length > 0) throw new Error(`${entryPoint} may not bring ${strays.join(", ")}`);
  // It is written into a string and compared byte for byte; anything else than ASCII would depend on locales.
  if (/[^\n\t\x20-\x7e]/.test(text)) throw new Error(`The bundle of ${entryPoint} is not plain ASCII`);
  const largest = inputs
    .sort(([, a], [, b]) => b.bytesInOutput - a.bytesInOutput)
    .slice(0, 5)
    .map(([path, { bytesInOutput }]) => `${path.replace("src/", "")} ${bytesInOutput}`)
    .join(", ");
  return { text, largest };
}

/** Takes from Node's modules once what `text` imports of them. esbuild writes `(0, fs1.openSync)()`, and requires them once for each importer. */
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

/** Replaces the shared modules by what the payload hands over; an import it does not share fails the build. */
const takeFromPayload = {
  name: "take-from-payload",
  setup(build) {
    build.onResolve({ filter: /^\.\.?\// }, ({ path, resolveDir }) => {
      const key = relative(resolve("src"), resolve(resolveDir, path)).replace(/\.ts$/, "");
      return Object.hasOwn(SHARED, key) ? { path: key, namespace: "shared" } : undefined;
    });
    build.onLoad({ filter: /.*/, namespace: "shared" }, ({ path }) => ({
      contents:
        SHARED[path].length > 0
          ? `export const { ${SHARED[path].join(", ")} } = shared[${JSON.stringify(path)}];`
          : `module.exports = shared[${JSON.stringify(path)}];`,
    }));
  },
};

function write(name, constant, text) {
  writeFileSync(
    `src/bootstrap/${name}.generated.ts`,
    `// Generated by scripts/build-payload.mjs.\nexport const ${constant}: string =\n  ${JSON.stringify(text)};\n`,
  );
}
