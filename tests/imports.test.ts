import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { test } from "node:test";
import { repoRoot } from "./support/lab.ts";

const SRC = join(repoRoot, "src");

/** What each part of src/ may import beside itself: style.md, "Folder layout". A file's own row wins over its folder's. */
const MAY_IMPORT: Record<string, readonly string[]> = {
  "errors.ts": [],
  "library.ts": [],
  wire: ["errors.ts"],
  core: ["wire", "errors.ts"],
  terminal: ["core", "wire", "errors.ts"],
  logging: ["terminal", "core", "wire", "errors.ts"],
  calls: ["core", "wire", "loader/builtins.ts", "errors.ts"],
  service: ["core", "wire", "errors.ts"],
  files: ["service", "core", "wire", "errors.ts"],
  commands: [
    "calls",
    "files",
    "connection/shell-quote.ts",
    // A type: it is the router that starts the context of another user.
    "connection/connecting-router.ts",
    ...["core", "wire", "errors.ts"],
  ],
  loader: ["core", "wire", "errors.ts", "library.ts"],
  bootstrap: ["core", "wire", "errors.ts"],
  "short-way": ["loader/builtins.ts", "core", "wire", "errors.ts"],
  connection: [
    "bootstrap",
    "loader",
    "calls",
    "service",
    "logging",
    "short-way",
    "core",
    "wire",
    "errors.ts",
  ],
  fakessh: [
    "bootstrap",
    "connection/own-node.ts",
    "connection/reaper.ts",
    "connection/shell-quote.ts",
    // The tool may have the program's terminal.
    "terminal/open-line.ts",
    "core",
    "errors.ts",
    "wire/thrown.ts",
  ],
  remote: [
    ...[
      "loader/importer.ts",
      "loader/evaluator.ts",
      "loader/builtins.ts",
      "loader/builtin-functions.ts",
      "loader/module-record.ts",
      "calls",
      "service",
      "files",
      "commands",
    ],
    // What the program's router and a context's have in common.
    ...["connection/connecting-router.ts", "connection/connector.ts", "connection/debug-context.ts"],
    "connection/kept-context.ts",
    ...["core", "wire", "errors.ts", "bootstrap/ready.ts"],
  ],
  "index.ts": [
    "fakessh",
    "commands",
    "files",
    "connection",
    "calls",
    "bootstrap",
    "loader",
    "service",
    "logging",
    "terminal",
    "core",
    "wire",
    "errors.ts",
  ],
  cli: ["index.ts"],
};

/** What the table does not allow and is there all the same, each with its reason. */
const EXCEPTIONS = [
  // A type: nothing is imported when it runs, the code itself travels later.
  "remote/broker-thread.ts imports connection/parent-role.ts",
  // A type: it is given what it is about.
  "short-way/main-thread-end.ts imports remote/api.ts",
  // Generated text, served as a module.
  "loader/responder.ts imports bootstrap/api.generated.ts",
  "loader/responder.ts imports bootstrap/evaluator.generated.ts",
  "loader/responder.ts imports bootstrap/parent-role.generated.ts",
  "loader/responder.ts imports bootstrap/short-way.generated.ts",
];

/** Packages of package.json, and who may use them. Nothing that travels does. */
const MAY_USE_PACKAGES = ["loader", "cli"];

interface Import {
  readonly file: string;
  readonly specifier: string;
}

function sources(): string[] {
  return readdirSync(SRC, { recursive: true, encoding: "utf8" })
    .map((path) => path.replaceAll("\\", "/"))
    .filter((path) => path.endsWith(".ts"));
}

function importsOf(file: string): Import[] {
  const text = readFileSync(join(SRC, file), "utf8");
  const found = text.matchAll(
    /^(?:import|export)\s+(?:type\s+)?(?:[\w*{][^;"'=()]*?\sfrom\s+)?["']([^"'\n]+)["'];$|^(?! *\*).*\bimport\(["']([^"']+)["']\)/gm,
  );
  return [...found].map(([, fromStatic, fromCall]) => ({
    file,
    specifier: (fromStatic ?? fromCall) as string,
  }));
}

const folderOf = (file: string): string => file.split("/")[0] as string;

/** Why an import is against the table; undefined if it is not. */
function objection({ file, specifier }: Import): string | undefined {
  if (specifier.startsWith("node:")) return undefined;
  const from = folderOf(file);
  if (!specifier.startsWith(".")) {
    return MAY_USE_PACKAGES.includes(from) ? undefined : `${file} uses the package ${specifier}`;
  }
  const target = relative(SRC, resolve(SRC, dirname(file), specifier)).replaceAll("\\", "/");
  const to = folderOf(target);
  if (to === from) return undefined;
  const allowed = MAY_IMPORT[from];
  if (allowed === undefined) return `${from} has no row in the table`;
  return allowed.includes(to) || allowed.includes(target) ? undefined : `${file} imports ${target}`;
}

test("src/ imports only downwards: cli, index, connection, bootstrap and loader, core, wire, errors", () => {
  const all = sources().flatMap(importsOf);
  assert.ok(all.length > 100, "imports were found");
  const objections = all.map(objection).filter((each) => each !== undefined);
  // Both ways: an exception that is no longer needed has to go.
  assert.deepEqual(objections.sort(), EXCEPTIONS.sort());
});

test("src/ imports name the file: nothing is resolved by guessing", () => {
  const vague = sources()
    .flatMap(importsOf)
    .filter(({ specifier }) => specifier.startsWith(".") && !specifier.endsWith(".ts"));
  assert.deepEqual(vague, []);
});

test("objection tells an upward import from a downward one", () => {
  const cases: [string, string, boolean][] = [
    ["wire/frame.ts", "../core/link.ts", false],
    ["wire/frame.ts", "../errors.ts", true],
    ["core/link.ts", "../wire/frame.ts", true],
    ["core/link.ts", "../connection/router.ts", false],
    ["remote/main.ts", "../loader/importer.ts", true],
    ["remote/main.ts", "../loader/responder.ts", false],
    ["cli/main.ts", "../core/link.ts", false],
    ["errors.ts", "./wire/frame.ts", false],
    ["loader/compile.ts", "esbuild", true],
    ["core/link.ts", "esbuild", false],
    ["core/link.ts", "node:fs", true],
  ];
  for (const [file, specifier, isAllowed] of cases) {
    assert.equal(objection({ file, specifier }) === undefined, isAllowed, `${file} → ${specifier}`);
  }
});
