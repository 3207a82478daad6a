/** The build shortens names of members in the code that travels. It must not give two members the same name. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { pathToFileURL } from "node:url";
import { repoRoot } from "../support/lab.ts";

interface ShortNames {
  shortenedNames(sources: readonly string[]): RegExp;
  clashes(text: string, shortNames: Readonly<Record<string, string | false>>): string[];
}

const { shortenedNames, clashes }: ShortNames = await import(
  pathToFileURL(join(repoRoot, "scripts/short-names.mjs")).href
);

const CLASS = `export class Reader {
  private nextLine(): string {
    return this.lineAt(0);
  }
  private lineAt(index: number): string {
    return "";
  }
}`;

test("shortenedNames: takes private members that are only ever written `this.name`", () => {
  const names = shortenedNames([CLASS, "reader.lineAt(0);"]);
  assert.match("nextLine", names);
  assert.doesNotMatch("lineAt", names);
});

test("shortenedNames: refuses a name that is public in another class", () => {
  const other = "export class Writer {\n  async nextLine(): Promise<void> {}\n}";
  assert.throws(
    () => shortenedNames([CLASS, other]),
    /^Error: nextLine: private in one class and public in another/,
  );
  assert.throws(
    () => shortenedNames([CLASS, "const { nextLine } = evaluatePart(part);"]),
    /^Error: nextLine: /,
  );
  assert.match("nextLine", shortenedNames([CLASS, "  const { nextLine } = this;"]));
  assert.match("nextLine", shortenedNames([CLASS, "function one() {\n  nextLine();\n}"]));
});

test("clashes: finds members that get one name", () => {
  const text =
    "class A { nextLine() { return this.lineAt } ab = 1; static [cd] = 2 }; ({ ef: 1, 'g-h': 2 }).ij";
  assert.deepEqual(clashes(text, { nextLine: "a", lineAt: "b", elsewhere: "c", ab: false }), []);
  assert.deepEqual(clashes(text, { nextLine: "ab" }), ["nextLine and ab are both ab"]);
  assert.deepEqual(clashes(text, { nextLine: "a", lineAt: "a" }), ["nextLine and lineAt are both a"]);
  assert.deepEqual(clashes(text, { nextLine: "ef" }), ["nextLine and ef are both ef"]);
  assert.deepEqual(clashes(text, { nextLine: "g-h", lineAt: "ij" }).length, 2);
  assert.deepEqual(clashes(text, { nextLine: "cd" }), []);
});

test("clashes: objects of an earlier bundle reach this one, so that their short names count", () => {
  assert.deepEqual(clashes("stream.on()", { elsewhere: "on" }), ["elsewhere and on are both on"]);
});
