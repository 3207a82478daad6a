import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { basename, join, relative } from "node:path";
import { test } from "node:test";
import { documents } from "../support/documents.ts";
import { repoRoot } from "../support/lab.ts";

/** What the text around the snippets says is there. */
const AMBIENT = `
declare global {
  const router: import("mitogen").Router;
  const context: import("mitogen").Context;
}
export {};
`;

test("the TypeScript in the documents compiles against the published types", () => {
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
    // As places in the documents, where the reader would look for them.
    const report = stdout.replace(/^([^\s(]+)\((\d+)/gm, (all, file: string, line: string) => {
      const place = names.get(file);
      return place === undefined ? all : `${place.document}(${place.firstLine + Number(line) - 1}`;
    });
    assert.equal(status, 0, report);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

interface Place {
  readonly document: string;
  readonly firstLine: number;
}

/**
 * Writes a document's ```ts blocks as modules of a folder of its own. One that begins with `// name.ts` gets that name, so that
 * others of the document can import it.
 */
function writeSnippets(folder: string): (document: string) => [file: string, place: Place][] {
  return (document) => {
    const text = readFileSync(document, "utf8");
    const own = basename(document, ".md");
    const blocks = [...text.matchAll(/^```ts\n([\s\S]*?)^```$/gm)];
    if (blocks.length > 0) mkdirSync(join(folder, own));
    return blocks.map((block, index) => {
      const [whole, code = ""] = block;
      const name = /^\/\/ ([\w-]+\.ts)\n/.exec(code)?.[1] ?? `snippet-${index + 1}.ts`;
      const file = join(folder, own, name);
      assert.ok(!existsSync(file), `${document} has two snippets ${name}`);
      writeFileSync(file, code);
      const before = text.slice(0, text.indexOf(whole));
      const place = { document: relative(repoRoot, document), firstLine: before.split("\n").length + 1 };
      return [relative(folder, file), place];
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
      paths: { mitogen: [types] },
    },
    include: ["."],
  };
}
