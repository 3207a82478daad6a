import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { basename, join, relative } from "node:path";
import { describe, it, test } from "node:test";
import { documents } from "../support/documents.ts";
import { sampleOf } from "../support/extent.ts";
import { repoRoot } from "../support/lab.ts";
import { runTypeScript } from "../support/run-typescript.ts";

/** The variables that the text around the snippets describes. */
const AMBIENT = `
declare global {
  const router: import("mitogen").Router;
  const context: import("mitogen").Context;
}
export {};
`;

test("the TypeScript in the documents and the examples compiles against the published types", () => {
  const types = join(repoRoot, "dist/index.d.ts");
  assert.ok(existsSync(types), "dist/ has not been built");
  mkdirSync(join(repoRoot, "build"), { recursive: true });
  // Inside the repository, so that node_modules is found.
  const folder = mkdtempSync(join(repoRoot, "build", "snippets-"));
  try {
    const names = new Map(documents.flatMap(writeSnippets(folder)));
    writeFileSync(join(folder, "ambient.d.ts"), AMBIENT);
    writeFileSync(join(folder, "tsconfig.json"), JSON.stringify(tsconfig(types)));
    assert.ok(names.size > 10, `only ${names.size} snippets were found`);
    const tsc = join(repoRoot, "node_modules/typescript/bin/tsc");
    const { status, stdout } = spawnSync(process.execPath, [tsc, "--noEmit", "-p", folder], {
      cwd: folder,
      encoding: "utf8",
    });
    // Shows places in the documents, where the reader looks for them.
    const report = stdout.replace(/^([^\s(]+)\((\d+)/gm, (all, file: string, line: string) => {
      const place = names.get(file);
      return place === undefined ? all : `${place.document}(${place.firstLine + Number(line) - 1}`;
    });
    assert.equal(status, 0, report);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

describe("The programs in docs/guide.md print the output below them", { concurrency: 2 }, () => {
  const guide = join(repoRoot, "docs/guide.md");
  for (const { code, name } of sampleOf(10, snippetsOf(guide))) {
    it(name, { timeout: 120_000 }, async () => {
      // The expected output is in comment lines at the end.
      const expected = /(?:^\/\/ .*\n)+$/m.exec(code)?.[0].replace(/^\/\/ /gm, "");
      assert.ok(expected !== undefined, `${name} does not say what it prints`);
      // Inside the repository, where "mitogen" is this package.
      const folder = mkdtempSync(join(repoRoot, "build", "guide-"));
      try {
        writeFileSync(join(folder, name), code);
        const { code: exitCode, stdout, stderr } = await runTypeScript(join(folder, name));
        assert.equal(exitCode, 0, stderr);
        assert.equal(stdout, expected, stderr);
      } finally {
        rmSync(folder, { recursive: true });
      }
    });
  }
});

interface Snippet {
  readonly name: string;
  readonly code: string;
  readonly firstLine: number;
}

/** A document's ```ts blocks. One that begins with `// name.ts` has that name. */
function snippetsOf(document: string): Snippet[] {
  const text = readFileSync(document, "utf8");
  return [...text.matchAll(/^```ts\n([\s\S]*?)^```$/gm)].map(({ 1: code = "", index }, number) => ({
    name: /^\/\/ ([\w-]+\.ts)\n/.exec(code)?.[1] ?? `snippet-${number + 1}.ts`,
    code,
    firstLine: text.slice(0, index).split("\n").length + 1,
  }));
}

interface Place {
  readonly document: string;
  readonly firstLine: number;
}

/**
 * Writes a document's snippets as modules of a folder of its own, where those that have names can be imported
 * by the others.
 */
function writeSnippets(folder: string): (document: string) => [file: string, place: Place][] {
  return (document) => {
    const own = basename(document, ".md");
    const snippets = snippetsOf(document);
    if (snippets.length > 0) mkdirSync(join(folder, own));
    return snippets.map(({ name, code, firstLine }) => {
      const file = join(folder, own, name);
      assert.ok(!existsSync(file), `${document} has two snippets ${name}`);
      // A reader with Node 22 starts it without a compiler.
      assert.doesNotMatch(code, /\busing \w+ =/, `${document}: ${name}`);
      writeFileSync(file, code);
      return [relative(folder, file), { document: relative(repoRoot, document), firstLine }];
    });
  };
}

function tsconfig(types: string): object {
  return {
    compilerOptions: {
      target: "es2023",
      lib: ["es2023", "esnext.disposable"],
      module: "nodenext",
      moduleDetection: "force",
      types: ["node"],
      strict: true,
      noEmit: true,
      allowImportingTsExtensions: true,
      skipLibCheck: true,
      paths: { mitogen: [types], "mitogen/fleet": [join(repoRoot, "dist/fleet/index.d.ts")] },
    },
    include: [".", join(repoRoot, "examples")],
  };
}
