import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { widthOf } from "../../../src/cli/screen/fit.ts";
import { isQuick } from "../../support/extent.ts";
import { needsLab } from "../../support/lab.ts";
import { checkLeaks } from "../../support/leak-check.ts";
import { mitogen } from "../run-cli.ts";
import { TerminalRun } from "../screen-of.ts";

checkLeaks();

const folder = mkdtempSync(join(tmpdir(), "mitogen-cli-screen-"));
after(() => rmSync(folder, { recursive: true, force: true }));

const names = Array.from({ length: 200 }, (_, i) => `node${i + 1}`);
writeFileSync(
  join(folder, "mitogen.config.json"),
  JSON.stringify({
    hosts: {
      one: { local: {} },
      two: { local: {} },
      three: { local: {} },
      ...Object.fromEntries(
        names.map((name) => [
          name,
          { exec: { command: ["/bin/sh", "-c", "exec sleep 1000"], timeoutMs: 600_000 } },
        ]),
      ),
      gone: { exec: { command: ["/bin/false"] } },
    },
    groups: { few: ["one", "two", "three"], many: "node*" },
  }),
);
const env = { XDG_STATE_HOME: join(folder, "state") };
/** Prints a line on each host, and waits for a file. */
const untilFile = (name: string): string[] => [
  "--shell",
  "--",
  `echo begun; while [ ! -e ${join(folder, name)} ]; do sleep 0.05; done; echo done`,
];

test("a terminal shows a live line for each running host, output above them, and a table at the end", async (t) => {
  if (needsLab(t) === undefined) return;
  const run = await TerminalRun.start(["exec", "--on", "@few,gone", ...untilFile("go1")], {
    cwd: folder,
    env,
  });
  try {
    await run.see(/0\/4 hosts|1\/4 hosts/);
    const live = await run.see(/one: begun[\s\S]*1\/4 hosts, 3 running, 1 unreachable/);
    for (const host of ["one", "two", "three"]) {
      assert.equal(live.match(new RegExp(`^${host} +[\\d.]+m?s  (begun|running)`, "gm"))?.length, 1, live);
    }
    assert.match(await run.colours(), /\x1b\[[\d;]*m(one|two|three):\x1b\[[\d;]*m begun/);
    writeFileSync(join(folder, "go1"), "");
    const { status, shown, cursor } = await run.ended();
    assert.equal(status, 3);
    assert.ok(cursor);
    assert.match(
      shown,
      /^HOST +STATUS +TIME\none +ok +[\d.]+m?s\ntwo +ok .*\nthree +ok .*\ngone +unreachable +0ms {2}Cannot connect/m,
    );
    assert.match(shown, /^4 hosts: 3 ok, 1 unreachable \(gone\)\nstatus 3$/m);
    // Nothing of the live part is left.
    assert.doesNotMatch(shown, /running|connecting|\[\./);
  } finally {
    await run.close();
  }
});

test("200 hosts on 24 lines are shown as a bar, and the output at the end fits about one screen", async (t) => {
  if (needsLab(t) === undefined) return;
  const run = await TerminalRun.start(["ping", "--on", "@many,one", "--parallel", "250"], {
    cwd: folder,
    env,
  });
  try {
    const live = await run.see(/\[\.+\] 1\/201 hosts, 200 running, 1 ok/);
    assert.ok(live.split("\n").length <= 3, live);
    await run.press("C-c");
    const { status, shown } = await run.ended();
    assert.equal(status, 130);
    assert.match(shown, /^Interrupted\. 201 hosts: 1 ok, 200 skipped \(node\[1-200\]\)$/m);
    assert.ok(shown.split("\n").length < 30, shown);
  } finally {
    await run.close();
  }
});

test("a terminal that becomes narrower, wider and lower shows every running host once, and cuts lines", async (t) => {
  if (needsLab(t) === undefined) return;
  const long = `echo ${"x".repeat(300)}; while [ ! -e ${join(folder, "go2")} ]; do sleep 0.05; done`;
  const run = await TerminalRun.start(["exec", "--on", "@few", "--shell", "--", long], {
    cwd: folder,
    env,
    columns: 100,
  });
  try {
    await run.see(/^one .*xxx…[\s\S]*3 running/m);
    for (const [columns, rows] of [
      [40, 24],
      [120, 24],
      [20, 10],
      [80, 24],
    ] as const) {
      await run.resize(columns, rows);
      const isDrawn = /^one {2,}\S+ {2}x*…?$[\s\S]*3 hosts, 3|^0\/3 hosts, 3/m;
      const shown = await run.see(isDrawn);
      for (const line of shown.split("\n")) assert.ok(widthOf(line) <= columns, line);
    }
    writeFileSync(join(folder, "go2"), "");
    const { status, shown } = await run.ended();
    assert.equal(status, 0);
    for (const host of ["one", "two", "three"]) {
      assert.equal(shown.match(new RegExp(`^${host} +ok`, "gm"))?.length, 1, shown);
    }
  } finally {
    await run.close();
  }
});

test("a password is asked for once, without echo, before anything starts", async (t) => {
  if (needsLab(t) === undefined) return;
  const run = await TerminalRun.start(["exec", "--on", "@few", "--ask-sudo-password", "--", "echo", "x"], {
    cwd: folder,
    env,
  });
  try {
    const asked = await run.see(/Password for sudo:/);
    assert.doesNotMatch(asked, /hosts/);
    await run.press("hunter2", "Enter");
    const { status, shown } = await run.ended();
    assert.equal(status, 0);
    assert.equal(shown.match(/Password/g)?.length, 1);
    assert.doesNotMatch(shown, /hunter2/);
  } finally {
    await run.close();
  }
});

test("NO_COLOR and FORCE_COLOR decide about colours; without a terminal nothing moves the cursor", async () => {
  const words = ["exec", "--on", "one", "--", "echo", "x"];
  if (!isQuick) assert.equal((await mitogen(words, { cwd: folder, env })).stdout, "one: x\n");
  const forced = await mitogen(words, { cwd: folder, env: { ...env, FORCE_COLOR: "1" } });
  assert.match(forced.stdout, /^\x1b\[\d+mone:\x1b\[39m x\n$/);
  const both = await mitogen(words, { cwd: folder, env: { ...env, FORCE_COLOR: "1", NO_COLOR: "1" } });
  assert.equal(both.stdout, "one: x\n");
});

test("a run that is suspended leaves the terminal to the shell, and comes back below the shell's output", async (t) => {
  if (needsLab(t) === undefined) return;
  const run = await TerminalRun.start(["exec", "--on", "@few", ...untilFile("go3")], {
    cwd: folder,
    env,
    before: "set -m",
    after: "echo suspended; read line; fg; echo resumed $?",
  });
  try {
    await run.see(/(?:(?:one|two|three): begun\n){3}[\s\S]*0\/3 hosts, 3 running/);
    await run.press("C-z");
    const stopped = await run.see(/status 14\d[\s\S]*suspended/);
    assert.doesNotMatch(stopped, /running/);
    assert.ok(await run.hasCursor(), "the cursor is shown");
    await run.press("Enter");
    const live = await run.see(/suspended[\s\S]*0\/3 hosts, 3 running/);
    assert.match(live, /status 14\d[\s\S]*suspended/);
    assert.ok(!(await run.hasCursor()), "the cursor is hidden");
    writeFileSync(join(folder, "go3"), "");
    const shown = await run.see(/resumed 0/);
    assert.match(shown, /^3 hosts: 3 ok\nresumed 0$/m);
    assert.doesNotMatch(shown, /running/);
    assert.ok(await run.hasCursor(), "the cursor is shown at the end");
  } finally {
    await run.close();
  }
});
