import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { describe, it } from "node:test";
import { pathToFileURL } from "node:url";
import { takesLong } from "../support/extent.ts";
import { repoRoot } from "../support/lab.ts";
import { checkLeaks } from "../support/leak-check.ts";
import { runProgram } from "../support/run-program.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

checkLeaks();

const PYTHON = "/usr/bin/python3";
const MAIN = join(repoRoot, "bench/main.mjs");
const load = async (name: string) => await import(pathToFileURL(join(repoRoot, "bench", name)).href);

const { parseOptions } = await load("options.mjs");
const { measure } = await load("measure.mjs");
const { treeCpuMs } = await load("cpu.mjs");
const { againstLine, compare, failedLine, judge, peerLine } = await load("table.mjs");

const GOALS = ["ratioAtMost", "ratioAtLeast", "moreAtMost", "atMost", "cpuRatioAtMost", "cpuAtMost"];
const samples = (...values: number[]) => values.map((value) => ({ value, cpu: value * 2 }));
/** Uses 300 ms of CPU. The start of Node adds far less. */
const BURN =
  "const used = () => process.cpuUsage().user + process.cpuUsage().system; while (used() < 300_000);";

describe("rows", async () => {
  const files = readdirSync(join(repoRoot, "bench/rows"));
  const rows = (await Promise.all(files.map((file) => load(`rows/${file}`)))).flatMap(({ rows }) => rows);

  it("have unique names, and peers with names", () => {
    const names = rows.flatMap(({ what, peers }) =>
      peers.map(({ name }: { name: string }) => `${what} / ${name}`),
    );
    assert.deepEqual(
      names.filter((name, at) => names.indexOf(name) !== at),
      [],
    );
    for (const { what, ours, peers } of rows) {
      assert.equal(typeof ours, "function", what);
      assert.ok(peers.length > 0, what);
    }
  });

  it("are all in the table of the README", () => {
    const readme = readFileSync(join(repoRoot, "bench/README.md"), "utf8");
    for (const { what, peers } of rows) {
      for (const { name } of peers)
        assert.ok(readme.includes(`\n| ${what} | ${name} | `), `${what} / ${name}`);
    }
  });

  it("have a unit and goals that can be judged", () => {
    for (const { what, unit, peers } of rows) {
      assert.ok(["ms", "µs", "MiB/s", "MiB"].includes(unit), `${what}: ${unit}`);
      for (const { name, goal, start } of peers) {
        const kinds = Object.keys(goal ?? {});
        assert.deepEqual(
          kinds.filter((kind) => !GOALS.includes(kind)),
          [],
          `${what} / ${name}`,
        );
        // Without a goal it must be a floor; without a peer the goal must not need one.
        assert.equal(goal === undefined, name.startsWith("floor: "), `${what} / ${name}`);
        if (start === undefined)
          assert.ok(
            kinds.every((kind) => /^(at|cpuAt)Most$/.test(kind)),
            what,
          );
        // More is better for a rate.
        if (unit === "MiB/s") assert.deepEqual(kinds, goal ? ["ratioAtLeast"] : [], what);
      }
    }
  });
});

describe("options", () => {
  it("are names of rows and three settings", () => {
    const given = ["SSH", "--against", "v1", "--json=out.json", "--pairs", "3", "no-op call"];
    assert.deepEqual(parseOptions(given), {
      names: ["ssh", "no-op call"],
      against: "v1",
      json: "out.json",
      pairs: 3,
    });
    assert.deepEqual(parseOptions([]), { names: [], against: undefined, json: undefined, pairs: undefined });
  });

  it("are refused if they are invalid", () => {
    for (const pairs of ["0", "x", "1.5", "99999"])
      assert.throws(() => parseOptions(["--pairs", pairs]), /--pairs/);
    assert.throws(() => parseOptions(["--agianst", "v1"]), /agianst/);
  });
});

describe("measure", () => {
  const side = (name: string, log: string[], values: number[]) => async () => ({
    before: () => log.push(`before ${name}`),
    run: () => values.shift(),
    after: () => log.push(`after ${name}`),
    close: () => log.push(`close ${name}`),
  });

  it("runs the sides by turns, does not count the first round, and closes them", async () => {
    const log: string[] = [];
    const starts = [side("a", log, [9, 1, 2]), side("b", log, [9, 3, 4])];
    const found = await measure({ unit: "µs", per: 10, pairs: 2 }, starts);
    assert.deepEqual(
      found.map((each: { value: number }[]) => each.map(({ value }) => value)),
      [
        [100, 200],
        [300, 400],
      ],
    );
    const round = ["before a", "after a", "before b", "after b"];
    assert.deepEqual(log, [...round, ...round, ...round, "close a", "close b"]);
  });

  it("goes on without a side that does not start or that fails", async () => {
    const broken = async () => {
      throw new Error("not installed");
    };
    const failing = async () => ({
      run: async () => {
        throw new Error("broke");
      },
    });
    const [good, first, second] = await measure({ unit: "ms", pairs: 1 }, [
      side("a", [], [1, 2]),
      broken,
      failing,
    ]);
    assert.equal(good[0].value, 2);
    assert.equal(first.message, "not installed");
    assert.equal(second.message, "broke");
  });

  it("takes the CPU time that a side reports, per operation if the unit is a time", async () => {
    const told = async () => ({ run: () => ({ value: 8, cpu: 4 }) });
    assert.deepEqual(await measure({ unit: "ms", per: 2, pairs: 1 }, [told]), [[{ value: 4, cpu: 2 }]]);
    assert.deepEqual(await measure({ unit: "MiB/s", per: 2, pairs: 1 }, [told]), [[{ value: 250, cpu: 4 }]]);
  });
});

describe("CPU time", () => {
  it("of the tree includes grandchildren that live and that have ended", async (t) => {
    if (Number.isNaN(treeCpuMs())) return t.skip("Needs /proc");
    const start = treeCpuMs();
    const node = JSON.stringify(process.execPath);
    const script = `${node} -e "$BURN"; ${node} -e "$BURN console.log(1); process.stdin.resume()"; true`;
    const child = spawn("sh", ["-c", script], {
      stdio: ["pipe", "pipe", "inherit"],
      env: { ...process.env, BURN },
    });
    await once(child.stdout, "data");
    const spent = treeCpuMs() - start;
    assert.ok(spent >= 580, `${spent} ms`);
    const ended = once(child, "close");
    child.stdin.end();
    await ended;
    assert.ok(treeCpuMs() - start >= 580);
  });

  it("of a measured program includes processes that outlive it", {
    skip: !existsSync(PYTHON) && "Needs python3",
  }, async () => {
    const node = JSON.stringify(process.execPath);
    const words = [join(repoRoot, "bench/measured.py"), "sh", "-c", `${node} -e "$BURN" & exit 7`];
    const stdio = ["ignore", "inherit", "inherit", "pipe"] as const;
    const child = spawn(PYTHON, words, { stdio: [...stdio], env: { ...process.env, BURN } });
    const [cost, [code]] = await Promise.all([
      text(child.stdio[3] as NodeJS.ReadableStream),
      once(child, "close"),
    ]);
    const { cpu } = JSON.parse(cost);
    assert.equal(code, 7);
    assert.ok(cpu >= 300, cost);
  });
});

describe("table", () => {
  it("judges the median of the pairs, each part of a goal by itself", () => {
    const found = compare(samples(1, 2, 30), samples(2, 2, 10));
    assert.deepEqual(found.value.ratio, { median: 1, min: 0.5, max: 3 });
    assert.equal(found.cpu.ours, 4);
    const met = (goal: object) => judge(goal, "ms", found).map(([, isMet]: [string, boolean]) => isMet);
    assert.deepEqual(met({ ratioAtMost: 1, cpuRatioAtMost: 0.9 }), [true, false]);
    assert.deepEqual(met({ ratioAtLeast: 1 }), [true]);
    assert.deepEqual(met({ moreAtMost: -0.5 }), [false]);
    assert.deepEqual(met({ atMost: 2, cpuAtMost: 3.9 }), [true, false]);
  });

  it("does not call a goal met without figures", () => {
    const found = compare(samples(1));
    assert.deepEqual(
      ["ratioAtMost", "ratioAtLeast", "moreAtMost", "cpuRatioAtMost"].flatMap((kind) =>
        judge({ [kind]: 1 }, "ms", found).map(([, isMet]: [string, boolean]) => isMet),
      ),
      [false, false, false, false],
    );
  });

  it("has as many cells in a line as in its header, and says in which direction a value is better", async () => {
    const { PEERS_HEADER, AGAINST_HEADER } = await load("table.mjs");
    const cells = (line: string) => line.split("\n")[0]?.split("|").length;
    const found = compare(samples(1), samples(2));
    const row = { what: "x", unit: "MiB/s" };
    assert.equal(cells(peerLine(row, { name: "y", goal: { ratioAtLeast: 1 } }, found)), cells(PEERS_HEADER));
    assert.equal(
      cells(peerLine(row, { name: "–", goal: { atMost: 1 } }, compare(samples(1)))),
      cells(PEERS_HEADER),
    );
    assert.equal(cells(againstLine(row, found)), cells(AGAINST_HEADER));
    assert.match(againstLine(row, found), /\| \*\*higher\*\* \|/);
    assert.match(againstLine({ what: "x", unit: "ms" }, found), /\| lower \|/);
    assert.doesNotMatch(failedLine("x", "y", new Error("a|b\nc")), /a\|b|\n/);
  });
});

describe("npm run bench", () => {
  it("--against builds a revision, measures both in one run and writes JSON", {
    skip: takesLong,
  }, async (t) => {
    const folder = temporaryFolder(t);
    const json = join(folder, "results.json");
    const args = ["--against", "HEAD", "--pairs", "1", "--json", json, "child RSS"];
    // Variables that change Node's start reach neither side: only the benchmark's own process leaves the mark.
    const mark = join(folder, "mark.cjs");
    writeFileSync(mark, `require("node:fs").appendFileSync(${JSON.stringify(`${mark}.log`)}, "started\\n");`);
    const env = { NODE_OPTIONS: `--require=${mark}` };
    const { code, stdout, stderr } = await runProgram(MAIN, { args, env }).ended;
    assert.equal(code, 0, stderr);
    assert.equal(readFileSync(`${mark}.log`, "utf8"), "started\n");
    assert.match(stdout, /^\| child RSS \| lower \| [\d.]+ MiB \| [\d.]+ MiB \| [\d.]+ × /m);
    const { against, rows } = JSON.parse(readFileSync(json, "utf8"));
    assert.match(against, /^[0-9a-f]{40}$/);
    const [{ what, unit, isHigherBetter, value, cpu, samples }] = rows;
    assert.deepEqual(
      { what, unit, isHigherBetter },
      { what: "child RSS", unit: "MiB", isHigherBetter: false },
    );
    assert.ok(value.ours > 10 && value.theirs > 10 && cpu.ours > 0);
    assert.equal(samples.theirs.length, 1);
  });

  it("fails for an unknown row or revision, and names it", async () => {
    const none = await runProgram(MAIN, { args: ["no such row"] }).ended;
    assert.equal(none.code, 1);
    assert.match(none.stderr, /No row matches no such row/);
    const revision = await runProgram(MAIN, { args: ["--against", "no-such-revision", "child RSS"] }).ended;
    assert.equal(revision.code, 1);
    assert.match(revision.stderr, /no-such-revision/);
  });
});
