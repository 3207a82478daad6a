import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join, posix } from "node:path";
import { test } from "node:test";
import { pathToFileURL } from "node:url";
import { repoRoot } from "../support/lab.ts";

interface Layers {
  listingProblems(): string[];
}

test("docs/architecture.md has the tables of src/layers.json, which lists every source file and nothing else", async () => {
  const layers: Layers = await import(pathToFileURL(join(repoRoot, "scripts/layers.mjs")).href);
  assert.deepEqual(layers.listingProblems(), []);
});

test("The journeys of docs/architecture.md lead from file to file along imports, and enter each room once", () => {
  const text = readFileSync(join(repoRoot, "docs/architecture.md"), "utf8");
  const section = text.slice(text.indexOf("\n## Journeys"), text.indexOf("\n## The life of a child"));
  const lists = section.split(/\n\n(?!- )/).filter((part) => /^- /m.test(part));
  assert.equal(lists.length, 6);
  for (const list of lists) {
    const rooms: string[] = [];
    let last: string | undefined;
    // The last file of an item calls the first file that a nested item names, which answers.
    for (const [, indent, item] of list.matchAll(/^( *)- ((?:.|\n(?! *- |\n))*)/gm)) {
      let from = last;
      for (const [, file] of (item as string).matchAll(/`([\w/-]+\.ts)`/g) as Iterable<[string, string]>) {
        if (from !== undefined)
          assert.ok(areJoined(from, file), `${from} and ${file} have nothing in common`);
        from = file;
        if (indent === "" && rooms.at(-1) !== posix.dirname(file)) rooms.push(posix.dirname(file));
      }
      if (indent === "") last = from;
    }
    assert.deepEqual(rooms, [...new Set(rooms)]);
  }
});

/** Whether one of the files imports the other, or both import a file that says what one of them is to the other. */
function areJoined(one: string, other: string): boolean {
  const [ones, others] = [importsOf(one), importsOf(other)];
  const joints = [
    ...["core/context.ts", "core/router.ts", "links/link.ts", "wire/frame.ts"],
    ...["connection/prompts/dialogue.ts", "files/ends/sink.ts"],
  ];
  return ones.has(other) || others.has(one) || joints.some((file) => ones.has(file) && others.has(file));
}

function importsOf(file: string): ReadonlySet<string> {
  const text = readFileSync(join(repoRoot, "src", file), "utf8");
  const specifiers = text.matchAll(/from "(\.[^"]+)"/g) as Iterable<[string, string]>;
  return new Set([...specifiers].map(([, path]) => posix.join(posix.dirname(file), path)));
}
