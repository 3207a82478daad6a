import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { constants, tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { sampleOf } from "../../support/extent.ts";
import { needsLab } from "../../support/lab.ts";
import { checkLeaks, commandOf } from "../../support/leak-check.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";
import { CLI, cleanEnvironment } from "../run-cli.ts";
import { TerminalRun } from "../screen-of.ts";

checkLeaks();

const MARK = "MITOGEN_SIGNAL_TEST";
const folder = mkdtempSync(join(tmpdir(), "mitogen-cli-signals-"));
after(() => rmSync(folder, { recursive: true, force: true }));

writeFileSync(
  join(folder, "mitogen.config.mjs"),
  `export default {
  hosts: {
    // Starts, and never becomes a context.
    slow: { exec: { command: ["/bin/sh", "-c", "cat > /dev/null; sleep 1000"], timeoutMs: 600_000 } },
    one: { local: {} },
    two: { local: {} },
  },
  groups: { pair: ["one", "two"], late: () => new Promise((resolve) => setTimeout(resolve, 600_000)),
    loops() { process.stderr.write("looping\\n"); for (;;); } },
};`,
);
writeFileSync(
  join(folder, "tasks.mjs"),
  `import { spawn } from "node:child_process";
export function waits() { console.log("waiting"); return new Promise((resolve) => setTimeout(resolve, 600_000)); }
export function spins() { console.log("spinning"); for (;;); }
export function spawns() {
  spawn("sleep", ["1000"], { stdio: "ignore" });
  console.log("spawned");
  return new Promise((resolve) => setTimeout(resolve, 600_000));
}
export function fails() { throw new Error("once more"); }
`,
);

/** The ids of all processes that the run with this mark has started, directly or not. */
function marked(mark: string): string[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .filter((pid) => {
      try {
        return readFileSync(join("/proc", pid, "environ"), "latin1").includes(`${MARK}=${mark}\0`);
      } catch {
        return false;
      }
    });
}

const POINTS: readonly { at: string; words: string[]; see: RegExp; reached?: RegExp; presses?: number }[] = [
  {
    at: "connecting",
    words: ["exec", "--on", "slow,one", "--", "true"],
    see: /1\/2 hosts, 1 running, 1 ok/,
    reached: /^one +ok/m,
  },
  { at: "the inventory", words: ["exec", "--on", "@late", "--", "true"], see: /^$/ },
  { at: "a group that loops", words: ["exec", "--on", "@loops", "--", "true"], see: /looping/ },
  {
    at: "a password",
    words: ["exec", "--on", "one", "--ask-password", "--", "true"],
    see: /Password for logins:/,
  },
  {
    at: "the password command",
    words: ["exec", "--on", "one", "--password-command", "echo asked >&2; sleep 1000", "--", "true"],
    see: /asked/,
  },
  { at: "a command", words: ["exec", "--on", "one", "--", "sleep", "1000"], see: /one .*running/ },
  {
    at: "a function",
    words: ["run", "tasks.mjs#waits", "--on", "@pair"],
    see: /one: waiting[\s\S]*two: waiting|two: waiting[\s\S]*one: waiting/,
  },
  { at: "a busy loop", words: ["run", "tasks.mjs#spins", "--on", "one"], see: /one: spinning/ },
  {
    at: "a subprocess of a function",
    words: ["run", "tasks.mjs#spawns", "--on", "one"],
    see: /one: spawned/,
  },
  {
    at: "output",
    words: ["exec", "--on", "@pair", "--shell", "--", "while :; do echo flood; sleep 0.01; done"],
    see: /(?:(?:one|two): flood\n){10}/,
  },
  {
    at: "a batch",
    words: ["exec", "--on", "@pair", "--batch", "1", "--shell", "--", "echo first; sleep 1000"],
    see: /one: first/,
    reached: /^two +skipped/m,
  },
  { at: "a retry", words: ["run", "tasks.mjs#fails", "--on", "one", "--retry", "100"], see: /one .*running/ },
  {
    at: "--json",
    words: ["exec", "--on", "slow,one", "--json", "--", "true"],
    see: /^$/,
    reached: /"skipped": 1/,
  },
  { at: "the doctor", words: ["doctor", "--on", "slow"], see: /ok +way/ },
  {
    at: "a command, twice",
    words: ["exec", "--on", "one", "--", "sleep", "1000"],
    see: /one .*running/,
    presses: 2,
  },
];

for (const [index, { at, words, see, reached, presses = 1 }] of POINTS.entries()) {
  test(`Ctrl-C at ${at}: remote work ends, the terminal is as before, the status is 130`, async (t) => {
    if (needsLab(t) === undefined) return;
    const mark = `${process.pid}-${index}`;
    const run = await TerminalRun.start(words, {
      cwd: folder,
      env: { [MARK]: mark, XDG_STATE_HOME: join(folder, "state") },
    });
    try {
      await run.see(see);
      // The screen does not show that the run has come so far.
      while (see.source === "^$" && marked(mark).length === 0) await pause(20);
      if (at === "the inventory" || at === "--json") await settled(mark);
      for (let i = 0; i < presses; i++) await run.press("C-c");
      const { status, shown, cursor, stty } = await run.ended();
      assert.equal(status, 130, shown);
      assert.ok(cursor, "the cursor is shown");
      assert.notEqual(stty[0], "");
      assert.equal(stty[1], stty[0]);
      assert.doesNotMatch(shown, /^ +at /m);
      if (reached !== undefined) assert.match(shown, reached);
      const until = Date.now() + 20_000;
      while (marked(mark).length > 0) {
        assert.ok(Date.now() < until, `left: ${marked(mark).map((pid) => commandOf(Number(pid)))}`);
        await pause(50);
      }
    } finally {
      await run.close();
    }
  });
}

test("a closed terminal: remote work ends, and the program ends by SIGHUP, without a core", async (t) => {
  if (needsLab(t) === undefined) return;
  const mark = `${process.pid}-closed`;
  const status = join(temporaryFolder(t), "status");
  const run = await TerminalRun.start(`run tasks.mjs#waits --on @pair; echo $? > ${status}`, {
    cwd: folder,
    env: { [MARK]: mark, XDG_STATE_HOME: join(folder, "state") },
    // The shell stays, to tell how the program has ended.
    before: "trap : HUP",
  });
  await run.see(/one: waiting[\s\S]*two: waiting|two: waiting[\s\S]*one: waiting/);
  await run.close();
  const until = Date.now() + 60_000;
  while (marked(mark).length > 0 || !existsSync(status)) {
    assert.ok(Date.now() < until, `left: ${marked(mark)}`);
    await pause(20);
  }
  assert.equal(readFileSync(status, "utf8"), `${128 + constants.signals.SIGHUP}\n`);
});

/** Waits until the run takes no more CPU time: then it has started everything, and waits for something else. */
async function settled(mark: string): Promise<void> {
  for (let last = "", quiet = 0; quiet < 20; ) {
    const now = cpuOf(marked(mark));
    quiet = now === last ? quiet + 1 : 0;
    last = now;
    await pause(50);
  }
}

function cpuOf(pids: readonly string[]): string {
  return pids
    .map((pid) => {
      try {
        const [, , ...fields] = readFileSync(`/proc/${pid}/stat`, "latin1").split(" ");
        return `${pid} ${fields[11]} ${fields[12]}`;
      } catch {
        return pid;
      }
    })
    .join();
}

for (const name of sampleOf(2, ["loops.ts", "loops.mjs"])) {
  test(`a signal ends a config that loops, and no file of its compilation stays: ${name}`, async (t) => {
    const cwd = temporaryFolder(t);
    writeFileSync(
      join(cwd, name),
      `import { writeFileSync } from "node:fs"; writeFileSync("begun", ""); for (;;);`,
    );
    const child = spawn(process.execPath, [CLI, "hosts", "--inventory", name], {
      cwd,
      env: cleanEnvironment(),
      stdio: "ignore",
    });
    const ended = once(child, "exit");
    try {
      while (!existsSync(join(cwd, "begun"))) await pause(20);
      child.kill("SIGINT");
      assert.deepEqual(await ended, [null, "SIGINT"]);
      assert.deepEqual(readdirSync(cwd).sort(), ["begun", name]);
    } finally {
      child.kill("SIGKILL");
    }
  });
}

test("Ctrl-C at output that nobody reads: the program and its remote work end", async () => {
  const mark = `${process.pid}-unread`;
  const program = spawn(process.execPath, [CLI, "exec", "--on", "one", "--", "yes"], {
    cwd: folder,
    env: { ...cleanEnvironment(), [MARK]: mark, XDG_STATE_HOME: join(folder, "state") },
    stdio: ["ignore", "pipe", "ignore"],
  });
  // Nothing is read beyond what the stream buffers.
  program.stdout.once("readable", () => undefined);
  while (program.stdout.readableLength < program.stdout.readableHighWaterMark) await pause(20);
  program.kill("SIGINT");
  const [code] = await once(program, "exit");
  assert.equal(code, 130);
  program.stdout.destroy();
  while (marked(mark).length > 0) await pause(20);
});
