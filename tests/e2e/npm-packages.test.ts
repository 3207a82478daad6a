import assert from "node:assert/strict";
import { watch } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { pathToFileURL } from "node:url";
import { inspect } from "node:util";
import { type Context, type FunctionRef, Router, ref } from "../../src/index.ts";
import { isFull, isQuick, takesLong, targetsOf } from "../support/extent.ts";
import { nodes } from "../support/lab.ts";
import { checkLeaks } from "../support/leak-check.ts";
import { nodeWithout, npmFixture, ownPackages } from "../support/npm-fixture.ts";

// libuv keeps its descriptor for watching files once it has opened it.
before(() => watch(tmpdir()).close());
checkLeaks({ ignoreCommand: /esbuild/ });

/** One module of tests/fixtures/npm/uses, which uses one package in a function `use`. */
interface Use {
  readonly file: string;
  /** How the package is made. */
  readonly shape: string;
  /** The oldest of the Nodes below on which the package runs. 12 by default. */
  readonly since?: number;
  /** Matches the error of an older Node, which says what it lacks. */
  readonly lacks?: RegExp;
  /** In a run that is not full, this one is called as the function itself, and the others by reference. */
  readonly isNamed?: boolean;
  /** Takes half a second or more, and has the same shape as others. */
  readonly isLong?: boolean;
  /** In a quick run too, because this repository depends on the package anyway, perhaps in another version. */
  readonly isOurs?: boolean;
}

const LIMIT_MS = 300_000;
const MAJORS = targetsOf([12, 18, 26]);

const USES: readonly Use[] = [
  { file: "chalk.mjs", isNamed: true, shape: "ES; #imports by condition" },
  { file: "nanoid.mjs", shape: "ES; conditions", since: 18, lacks: /webcrypto/ },
  { file: "execa.mjs", isLong: true, shape: "ES; many modules", since: 18, lacks: /node:timers\/promises/ },
  { file: "p-limit.mjs", shape: "ES; #imports" },
  { file: "p-map.mjs", shape: "ES" },
  {
    file: "got.mjs",
    shape: "ES; import() of what may be missing",
    since: 18,
    lacks: /node:timers\/promises/,
  },
  { file: "uuid.mjs", shape: "ES; conditions", since: 18, lacks: /randomUUID/ },
  { file: "strip-ansi.mjs", shape: "ES" },
  { file: "find-up.mjs", shape: "ES" },
  { file: "node-fetch.mjs", shape: "ES above CommonJS; import() in a class" },
  { file: "d3-array.mjs", shape: "ES; exports to src" },
  { file: "remark.mjs", isLong: true, shape: "ES; dozens of packages" },
  { file: "jose.mjs", shape: "ES; many conditions", since: 18, lacks: /base64url/ },
  { file: "ora.mjs", shape: "ES; JSON with an attribute", since: 18, lacks: /Segmenter/ },
  {
    file: "yoga-layout.mjs",
    shape: "ES; WebAssembly as text; top-level await",
    since: 18,
    lacks: /Top-level await/,
  },
  { file: "express.mjs", shape: "CommonJS; a package marked module-sync below" },
  { file: "lodash.mjs", isLong: true, shape: "CommonJS; deep paths" },
  { file: "lodash.cjs", isNamed: true, shape: "CommonJS; a computed require" },
  { file: "semver.mjs", isOurs: true, shape: "CommonJS; named exports" },
  { file: "debug.mjs", shape: "CommonJS; one of two files by environment" },
  { file: "minimist.mjs", shape: "CommonJS" },
  { file: "moment.mjs", shape: "CommonJS; locales that require it back" },
  { file: "moment.cjs", shape: "CommonJS; locales by computed names" },
  { file: "bluebird.cjs", shape: "CommonJS; code made by new Function" },
  { file: "iconv-lite.mjs", isLong: true, shape: "CommonJS; tables required when used" },
  { file: "mime-types.mjs", shape: "CommonJS; JSON" },
  { file: "qs.mjs", shape: "CommonJS" },
  { file: "handlebars.mjs", shape: "CommonJS; require.extensions" },
  { file: "ejs.mjs", shape: "CommonJS; code made by new Function" },
  {
    file: "winston.mjs",
    isLong: true,
    shape: "CommonJS; require in getters",
    since: 18,
    lacks: /Object\.hasOwn/,
  },
  { file: "pino.mjs", shape: "CommonJS", since: 18, lacks: /node:diagnostics_channel/ },
  { file: "ajv.cjs", isOurs: true, shape: "CommonJS; JSON; code that requires" },
  { file: "ajv.mjs", isOurs: true, shape: "CommonJS; __esModule with a default" },
  { file: "validator.mjs", shape: "CommonJS made by Babel" },
  { file: "graceful-fs.mjs", isOurs: true, shape: "CommonJS; patches fs" },
  { file: "glob.mjs", shape: "CommonJS; cycles" },
  { file: "cheerio.mjs", shape: "dual; many packages" },
  { file: "inherits.cjs", shape: "CommonJS; require in try" },
  { file: "readable-stream.mjs", shape: "CommonJS; cycles" },
  { file: "core-js-pure.mjs", shape: "CommonJS; hundreds of modules" },
  { file: "react.mjs", shape: "CommonJS; one of two files by environment" },
  { file: "jsonwebtoken.mjs", shape: "CommonJS" },
  {
    file: "pg.mjs",
    shape: "CommonJS with an ES wrapper; optional native in a getter",
    since: 18,
    lacks: /node:util\/types/,
  },
  { file: "knex.cjs", shape: "CommonJS; dialects by computed paths" },
  { file: "shelljs.mjs", shape: "CommonJS; commands by computed names" },
  { file: "protobufjs.mjs", shape: "CommonJS; require in eval" },
  { file: "ssh2.mjs", shape: "CommonJS; optional natives in try; WebAssembly as text" },
  {
    file: "fastify.mjs",
    shape: "CommonJS; requires an ES module",
    since: 20,
    lacks: /ES [Mm]odule|node:diagnostics_channel/,
  },
  {
    file: "callsites.cjs",
    shape: "CommonJS; structured stacks",
  },
  { file: "callsites.mjs", shape: "CommonJS; structured stacks" },
  { file: "typescript.mjs", shape: "CommonJS; one file of nine megabytes", since: 26 },
  { file: "fs-extra.mjs", isOurs: true, shape: "dual; promisified fs", since: 18, lacks: /rmSync/ },
  { file: "async.mjs", shape: "dual without conditions" },
  { file: "async.cjs", shape: "dual without conditions" },
  { file: "yargs-parser.mjs", isOurs: true, isNamed: true, shape: "dual; nested conditions" },
  { file: "yargs.mjs", isOurs: true, shape: "dual; reads translations that may be missing" },
  { file: "zod.mjs", isLong: true, shape: "dual; deep exports" },
  { file: "zod.cjs", isLong: true, shape: "dual; deep exports" },
  { file: "axios.mjs", isLong: true, shape: "dual; browser and node builds" },
  { file: "date-fns.mjs", isLong: true, shape: "dual; hundreds of modules; deep exports" },
  { file: "rxjs.mjs", isLong: true, shape: "dual; hundreds of modules; deep exports" },
  { file: "yaml.mjs", isLong: true, shape: "dual" },
  { file: "js-yaml.mjs", shape: "dual" },
  { file: "commander.mjs", shape: "CommonJS with an ES wrapper" },
  { file: "tslib.mjs", isNamed: true, shape: "dual; an ES wrapper of CommonJS" },
  { file: "luxon.mjs", shape: "dual" },
  { file: "immer.mjs", shape: "dual" },
  { file: "dayjs.mjs", shape: "CommonJS; plugins" },
  { file: "lru-cache.mjs", isOurs: true, shape: "dual; nested conditions" },
  { file: "acorn.mjs", isLong: true, shape: "dual" },
  { file: "preact.mjs", shape: "dual; deep exports" },
  { file: "graphql.mjs", isLong: true, shape: "dual; classes compared by instanceof" },
  { file: "postcss.mjs", isLong: true, shape: "CommonJS with an ES wrapper; cycles" },
  {
    file: "prettier.mjs",
    isLong: true,
    shape: "ES; import() of parsers",
    since: 18,
    lacks: /node:fs\/promises/,
  },
  { file: "vue.mjs", isLong: true, shape: "dual; an ES wrapper of CommonJS" },
  { file: "signal-exit.mjs", isOurs: true, shape: "dual; patches process" },
  { file: "fp-ts.mjs", isLong: true, shape: "two builds without exports" },
  { file: "mustache.mjs", shape: "dual" },
  { file: "lodash-es.mjs", isLong: true, shape: "ES; hundreds of modules" },
  { file: "babel-runtime.mjs", shape: "dual; arrays of conditions" },
  { file: "babel-runtime.cjs", shape: "dual; arrays of conditions" },
  { file: "noble-hashes.mjs", shape: "dual; deep exports" },
  {
    file: "aws-sdk.mjs",
    isLong: true,
    shape: "dual; hundreds of modules, many behind import()",
    since: 18,
    lacks: /node:fs\/promises/,
  },
  { file: "ws.mjs", shape: "CommonJS with an ES wrapper; an optional native that is installed" },
  { file: "chokidar.mjs", shape: "CommonJS; an optional native for another platform" },
  {
    file: "undici.mjs",
    shape: "CommonJS; WebAssembly as text",
    since: 18,
    lacks: /node:diagnostics_channel/,
  },
  { file: "es-module-lexer.mjs", shape: "dual; WebAssembly as text" },
];

const OURS = USES.filter(({ isOurs }) => isOurs);

const fixture = isQuick ? ownPackages() : await npmFixture();
const { folder, packages } = "folder" in fixture ? fixture : { folder: "", packages: "" };
const urlOf = (file: string): string => pathToFileURL(join(folder, "uses", file)).href;
const useOf = (file: string): FunctionRef<[]> => ref<() => unknown>(urlOf(file), "use");

/** The function of a module and its result here, which is computed once. */
const here = new Map<string, Promise<{ use: () => unknown; value: unknown }>>();

function evaluateHere(file: string): Promise<{ use: () => unknown; value: unknown }> {
  let found = here.get(file);
  if (found === undefined) {
    found = import(urlOf(file)).then(async ({ use, default: exports }) => {
      const fn = use ?? exports.use;
      return { use: fn, value: await fn() };
    });
    here.set(file, found);
  }
  return found;
}

/** By major version; without a lab only the Node that runs the tests. */
const targets = MAJORS.map((major) => [major, nodes[major]] as const).filter(([, node]) => node);
if (targets.length === 0) targets.push([Number.parseInt(process.versions.node, 10), process.execPath]);

const cannotHide = nodeWithout(packages, process.execPath) === undefined && "Needs mount namespaces";

/** Calls functions in a context that does not see the packages' files. */
function withContext(node: string, name: string): () => Context {
  let router: Router;
  let context: Context;
  before(async () => {
    router = new Router();
    context = await router.local({ name, nodePath: nodeWithout(packages, node) ?? node });
  });
  after(() => router.shutdown());
  return () => context;
}

/** The error of a call in a context of its own, with all causes. */
async function failure(node: string, file: string): Promise<string> {
  await using router = new Router();
  const context = await router.local({ nodePath: nodeWithout(packages, node) ?? node });
  return await context.call(useOf(file)).then(
    () => "it did not fail",
    (error: { code?: string }) => `${error.code}: ${inspect(error, { depth: 20 })}`,
  );
}

const ONE_BY_ONE = { concurrency: 1, timeout: LIMIT_MS };

describe("npm packages", {
  skip: "skip" in fixture && fixture.skip,
  concurrency: MAJORS.length,
  timeout: LIMIT_MS,
}, () => {
  for (const [major, node = process.execPath] of targets) {
    describe(`in one context on Node ${major}`, ONE_BY_ONE, () => {
      const context = withContext(node, `npm-${major}`);
      for (const { file, shape, since = 12, lacks, isLong = false, isNamed } of isQuick ? OURS : USES) {
        if (major >= since) {
          it(`${file} returns what it returns here: ${shape}`, { skip: isLong && takesLong }, async () => {
            const { use, value } = await evaluateHere(file);
            assert.notEqual(value, undefined);
            // Uses references, because the inspector would search all modules for each function: half of this file's time.
            assert.deepEqual(await context().call(isFull || isNamed ? use : useOf(file)), value);
          });
        } else if (lacks) {
          it(`${file} fails because of what this Node lacks: ${shape}`, async () => {
            await assert.rejects(context().call(useOf(file)), lacks);
          });
        }
      }
      it("typed.mjs runs TypeScript that Node itself would not run", async () => {
        assert.deepEqual(await context().call(useOf("typed.mjs")), ["A:High", 4, true]);
      });
    });

    describe(`on Node ${major}, each in a context of its own`, ONE_BY_ONE, () => {
      it("addon.mjs, which requires a native addon, is refused with the chain of imports", async () => {
        assert.match(
          await failure(node, "addon.mjs"),
          /ERR_MODULE_NATIVE: .*uses.addon\.mjs → .*packages.addon.index\.js → .*addon\.node; import it only where/,
        );
      });
      it("source-map.mjs fails to read a file that is not there", {
        skip: takesLong || cannotHide,
      }, async () => {
        assert.match(await failure(node, "source-map.mjs"), /ENOENT.*mappings\.wasm/);
      });
      it("crc32.mjs fails with the refusal of its addon among the causes", { skip: takesLong }, async () => {
        assert.match(await failure(node, "crc32.mjs"), /@node-rs\/crc32.*: native addons do not travel/);
      });
      it("bcrypt.mjs fails because of the addon that it looks for in its folder", {
        skip: takesLong || cannotHide,
      }, async () => {
        assert.match(await failure(node, "bcrypt.mjs"), /No native build was found/);
      });
      it("CommonJS that throws below an ES module fails only the call", async () => {
        await using router = new Router();
        const context = await router.local({ nodePath: node });
        await assert.rejects(context.call(useOf("failing.mjs")), /thrown while CommonJS is evaluated/);
        assert.equal(await context.call(Number.parseInt, "7"), 7);
      });
    });
  }
});
