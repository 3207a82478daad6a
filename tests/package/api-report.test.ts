import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { documents } from "../support/documents.ts";
import { takesLong } from "../support/extent.ts";
import { repoRoot } from "../support/lab.ts";

describe("api/", () => {
  it("has reports of everything that dist/ declares, with doc comments for all", { skip: takesLong }, () => {
    const script = join(repoRoot, "scripts/api.mjs");
    const { status, stdout, stderr } = spawnSync(process.execPath, [script], { encoding: "utf8" });
    assert.equal(status, 0, stdout + stderr);
  });

  it("names nothing that the documents do not name", () => {
    const report = readFileSync(join(repoRoot, "api/mitogen.api.md"), "utf8");
    const words = new Set(documents.flatMap((path) => readFileSync(path, "utf8").match(/\w+/g) ?? []));
    const missing = publicNames(report).filter((name) => !words.has(name.replace(/.*\./, "")));
    assert.deepEqual(missing, []);
  });

  it("has no internal members on the types that people use most", () => {
    const names = publicNames(readFileSync(join(repoRoot, "api/mitogen.api.md"), "utf8"));
    for (const name of ["Context.markGone", "Context.outbox", "FrameRouter.routeFrame", "Broker.hold"]) {
      assert.ok(!names.includes(name), name);
    }
    assert.ok(names.includes("ContextCalls.call"));
  });
});

/** What a report declares: values that are exported, and members, as `Context.call`. Types are named like their values. */
function publicNames(report: string): string[] {
  const names: string[] = [];
  let owner = "";
  for (const line of report.split("\n")) {
    const declared = /^(export )?(?:abstract )?(class|interface|function|const|type) (\w+)/.exec(line);
    const member = /^ {4}(?:(?:static|abstract|protected|readonly|get|set) )*(\w+)/.exec(line);
    if (declared !== null) {
      const [, isExported, kind, name = ""] = declared;
      owner = name;
      if (
        isExported !== undefined &&
        kind !== "interface" &&
        kind !== "type" &&
        !report.includes(`as ${name} }`)
      ) {
        names.push(name);
      }
    } else if (member !== null && member[1] !== "constructor") names.push(`${owner}.${member[1]}`);
  }
  return names;
}
