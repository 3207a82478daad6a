/**
 * Checks that the cost of a call, in units that do not depend on the machine, does not grow unnoticed. See
 * bench/README.md.
 */
import assert from "node:assert/strict";
import { before, describe, it } from "node:test";
import { isCi, takesLong } from "../support/extent.ts";
import { checkLeaks } from "../support/leak-check.ts";
import { type Counts, compare, kindOf, readRecord } from "./counts.ts";
import { parsePerf } from "./instructions.ts";
import { type Measured, measure, measureWasteful } from "./measure.ts";
import { straceMissing } from "./syscalls.ts";

checkLeaks();

const MAJOR = process.versions.node.split(".")[0] as string;
const RECORD = "npm run counts -- --record";

describe("counts", { timeout: 840_000, skip: takesLong }, () => {
  let measured: Measured;
  before(async () => {
    measured = await measure(process.execPath);
  });

  it("include system calls", (t) => {
    const reason = straceMissing();
    if (reason !== false && !isCi) return t.skip(reason);
    assert.equal(reason, false);
    assert.ok(Object.keys(measured.counts).some((name) => kindOf(name) === "system calls"));
  });

  it(`are no more than 15 % above those recorded for Node ${MAJOR}`, (t) => {
    const recorded = readRecord(MAJOR);
    if (recorded === undefined && !isCi) return t.skip(`Nothing is recorded for Node ${MAJOR}: ${RECORD}`);
    assert.ok(recorded, `Nothing is recorded for Node ${MAJOR}: CI=true ${RECORD}`);
    const { counts, notes, isKnown } = measured;
    const { grown, shrunk } = compare(recorded, counts, isKnown);
    for (const note of notes) t.diagnostic(note);
    if (shrunk.length > 0) t.diagnostic(`Less than recorded. Record it, CI=true ${RECORD}:`);
    for (const line of shrunk) t.diagnostic(line);
    const cure = `More than recorded. If it is worth that: CI=true ${RECORD}`;
    assert.equal(grown.length, 0, [cure, ...grown].join("\n"));
  });

  describe("of calls that waste something", () => {
    let wasteful: Counts;
    before(async () => {
      wasteful = await measureWasteful(process.execPath);
    });

    /** The counts that are larger for such calls than for those measured above. */
    const grownBy = (waste: string): string[] => {
      const of = (counts: Counts, prefix: string): Counts => {
        const own = Object.entries(counts).filter(([name]) => name.startsWith(prefix));
        return Object.fromEntries(own.map(([name, value]) => [name.slice(prefix.length), value]));
      };
      const honest = of(measured.counts, "call / ");
      const { grown } = compare(honest, of(wasteful, `${waste} / `), measured.isKnown);
      return grown.map((line) => line.slice(0, line.indexOf(":"))).sort();
    };

    it("tell 4 KiB", () => assert.deepEqual(grownBy("4 KiB"), ["program / heap bytes"]));
    it("tell a promise", () => assert.deepEqual(grownBy("a promise"), ["program / promises"]));
    it("tell a frame", () =>
      assert.ok(grownBy("a frame").includes("frames sent"), String(grownBy("a frame"))));
    it("tell a write", (t) => {
      const reason = straceMissing();
      if (reason !== false) return t.skip(reason);
      assert.deepEqual(grownBy("a write"), ["program / system calls", "program / writes"]);
    });
  });
});

describe("compare", () => {
  const recorded: Counts = { "a / heap bytes": 1000, "a / promises": 0, "a / writes": 2 };
  const grownOf = (found: Counts): readonly string[] => compare(recorded, { ...recorded, ...found }).grown;

  it("finds counts that are more than 15 % larger, and names both figures", () => {
    assert.deepEqual(grownOf({ "a / heap bytes": 1180 }), []);
    assert.deepEqual(grownOf({ "a / heap bytes": 1183 }), ["a / heap bytes: 1183, recorded 1000"]);
    assert.deepEqual(grownOf({ "a / writes": 2.5 }), ["a / writes: 2.5, recorded 2"]);
  });

  it("finds a count that was 0 in the record", () => {
    assert.deepEqual(grownOf({ "a / promises": 0.05 }), []);
    assert.deepEqual(grownOf({ "a / promises": 1 }), ["a / promises: 1, recorded 0"]);
  });

  it("reports counts that are more than 15 % smaller without objecting", () => {
    const { grown, shrunk } = compare(recorded, { ...recorded, "a / heap bytes": 800 });
    assert.deepEqual([grown, shrunk], [[], ["a / heap bytes: 800, recorded 1000"]]);
  });

  it("objects to counts without a record and to records without a count, unless this machine cannot take them", () => {
    const found = { "a / heap bytes": 1000, "a / promises": 0, "b / writes": 1 };
    assert.equal(compare(recorded, found).grown.length, 2);
    assert.deepEqual(compare(recorded, found, (name) => kindOf(name) !== "writes").grown, []);
    assert.deepEqual(grownOf({ "a / instructions": 1 }), []);
  });
});

it("parsePerf returns the instructions that perf prints, or NaN", () => {
  assert.equal(parsePerf("# started on Thu\n\n123456,,instructions:u,1000,100.00,,\n"), 123_456);
  assert.ok(Number.isNaN(parsePerf("\n<not supported>,,instructions:u,0,100.00,,\n")));
  assert.ok(Number.isNaN(parsePerf("")));
});
