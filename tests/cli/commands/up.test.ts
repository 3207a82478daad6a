import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { after, afterEach, before, describe, it } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { type Ended, endOf } from "../../support/end-of.ts";
import { sampleOf, takesLong } from "../../support/extent.ts";
import { checkLeaks, processesGone } from "../../support/leak-check.ts";
import { CLI, cleanEnvironment, mitogen, mitogenHere } from "../run-cli.ts";

checkLeaks();

/** Lines of 4000 characters: more than the process that keeps the connections holds for a reader. */
const FLOOD_LINES = 5_000;

describe("up and down", () => {
  const folder = mkdtempSync(join(tmpdir(), "mitogen-cli-up-"));
  const env = { XDG_STATE_HOME: join(folder, "state"), XDG_RUNTIME_DIR: join(folder, "run") };
  mkdirSync(env.XDG_RUNTIME_DIR, { mode: 0o700 });
  const tasks = (word: string): void =>
    writeFileSync(
      join(folder, "tasks.mjs"),
      `import { writeFileSync } from "node:fs";
import { stop } from "./stop.mjs";
let calls = 0;
export function count() { console.log("counting"); return \`${word} \${++calls} \${process.pid}\`; }
export function die() { stop(); }
export function flood() {
  for (let i = 0; i < ${FLOOD_LINES}; i++) console.log("x".repeat(4000));
  writeFileSync("${join(folder, "flooded")}", "");
  return "done";
}
export function spin() { console.log("spins in " + process.pid); for (;;); }
export function fail() { throw new RangeError("too " + "far"); }
`,
    );
  writeFileSync(
    join(folder, "stop.mjs"),
    'export const stop = () => process.kill(process.pid, "SIGKILL");\n',
  );
  writeFileSync(
    join(folder, "mitogen.config.mjs"),
    "export default { hosts: { here: { local: {} }, odd: { exec: { command: ['/bin/false'] } }," +
      " slow: { exec: { command: ['/bin/sh', '-c', 'echo $$ > slow.pid; exec sleep 1000'], timeoutMs: 600_000 } } } };\n",
  );

  const place = { cwd: folder, env };
  /** Runs the program. */
  const run = (...words: string[]): Promise<Ended> => mitogen(words, place);
  /** Runs the command line in this process. This is another installation, which does not use the program's connections. */
  const runHere = (...words: string[]): Promise<Omit<Ended, "signal">> => mitogenHere(words, place);
  /** Starts the program, and does not wait for its end. */
  const start = (...words: string[]) => {
    const stdio = ["ignore", "pipe", "inherit"] as const;
    const child = spawn(process.execPath, [CLI, ...words], {
      cwd: folder,
      env: cleanEnvironment(env),
      stdio: [...stdio],
    });
    const see = async (wanted: RegExp): Promise<RegExpExecArray> => {
      let shown = "";
      for await (const text of child.stdout as AsyncIterable<Buffer>) {
        shown += text;
        const found = wanted.exec(shown);
        if (found !== null) return found;
      }
      throw new Error(`it has ended, and shown only ${shown}`);
    };
    return { child, closed: once(child, "exit"), see };
  };
  /** What the function returned on each host, through the program's connections. */
  const values = async (...words: string[]): Promise<string[]> => {
    const { stdout, stderr } = await run("run", ...words, "--json");
    const { results } = JSON.parse(stdout || stderr);
    return results.map(({ value }: { value: string }) => value);
  };

  const sockets = (): string[] => {
    const place = join(env.XDG_RUNTIME_DIR, "mitogen");
    return existsSync(place) ? readdirSync(place) : [];
  };
  /** Ends the connections, until the process that keeps them no longer listens. */
  const end = async (): Promise<void> => {
    while (!(await runHere("down")).stdout.startsWith("No connections"));
    assert.deepEqual(sockets(), [], "the socket is gone");
  };
  after(() => rmSync(folder, { recursive: true }));

  describe("connections of the program that all tests share", () => {
    const socket = join(env.XDG_RUNTIME_DIR, "mitogen/up.sock");
    before(() => tasks("one"));
    // Another installation may end the program's connections.
    after(end);

    it("are connected once, by one process, by several ups at once", async () => {
      const ups = await Promise.all(["here", "here,local:1"].map((on) => run("up", "--on", on)));
      assert.deepEqual(
        ups.map(({ code, stdout, stderr }) => [code, stdout, stderr]),
        [
          [0, "kept  1 of 1 host\n", ""],
          [0, "kept  2 of 2 hosts\n", ""],
        ],
      );
      assert.equal(statSync(socket).mode & 0o777, 0o600);
    });

    it("are used by the commands that follow, which find their modules and state there", async () => {
      const first = await values("tasks.mjs#count", "--on", "local:1,here");
      assert.deepEqual(
        first.map((value) => value.replace(/\d+$/, "PID")),
        ["one 1 PID", "one 1 PID"],
      );
      const second = await run("run", "tasks.mjs#count", "--on", "here");
      assert.match(second.stdout, /^here: counting\nhere: one 2 \d+\n/);
      assert.equal(
        second.stdout.includes(first[1]?.replace("one 1", "one 2") as string),
        true,
        "in the same process",
      );

      tasks("two");
      const [changed = ""] = await values("tasks.mjs#count", "--on", "here");
      assert.match(changed, /^two 1 /, "its file has changed");
      assert.deepEqual(await values("tasks.mjs#count", "--on", "here"), [changed.replace("two 1", "two 2")]);
    });

    it("outlive a command that ends by Ctrl-C or a kill, and end its silent work", {
      timeout: 120_000,
    }, async () => {
      for (const signal of sampleOf(2, ["SIGINT", "SIGKILL"] as const)) {
        const command = start("exec", "--on", "here", "--shell", "--", "echo pid $$; exec sleep 1000");
        const [, pid] = await command.see(/pid (\d+)/);
        command.child.kill(signal);
        const [code] = await command.closed;
        assert.equal(code, signal === "SIGINT" ? 130 : null);
        assert.deepEqual(await processesGone([Number(pid)], 20_000), []);
      }
    });

    it("lose no output of a command to a slow reader", { skip: takesLong }, async () => {
      const seq = ["seq", "-f", "%4000.0f", `${FLOOD_LINES}`];
      const { child, closed } = start("exec", "--on", "here", "--", ...seq);
      // The reader stops until all buffers between it and the command are full.
      child.stdout.once("readable", () => undefined);
      while (child.stdout.readableLength < child.stdout.readableHighWaterMark) await pause(20);
      // If the command did not wait, all of its output would have come to the connections meanwhile.
      for (let i = 0; i < 4; i++) await run("exec", "--on", "here", "--", "true");
      const [read, [code]] = await Promise.all([text(child.stdout), closed]);
      const lines = read.trimEnd().split("\n");
      assert.deepEqual([lines.length, code], [FLOOD_LINES, 0]);
      assert.match(lines.at(-1) as string, new RegExp(`^here: +${FLOOD_LINES}$`));
    });

    it("count the lines that a function prints faster than they are read, and fail the run", {
      skip: takesLong,
    }, async () => {
      const child = spawn(process.execPath, [CLI, "run", "tasks.mjs#flood", "--on", "here"], {
        cwd: folder,
        env: cleanEnvironment(env),
      });
      const { ended } = endOf(child);
      child.stdout.pause();
      while (!existsSync(join(folder, "flooded"))) await pause(20);
      // When this command has ended, the output has arrived where the connections are.
      await run("exec", "--on", "here", "--", "true");
      child.stdout.resume();
      const { code, stdout, stderr } = await ended;
      assert.doesNotMatch(stderr, /anew/);
      const [, left] = /^mitogen: (\d+) lines of output were left out/m.exec(stderr) ?? [];
      assert.equal(stdout.match(/^here: x/gm)?.length, FLOOD_LINES - Number(left), stderr);
      assert.match(stdout, /^here: done$/m);
      assert.equal(code, 1);
    });

    const busy = "end a function that is given up and does not stop by itself, and connect its host again";
    for (const how of ["Ctrl-C", "--timeout", "Ctrl-C in a process behind the connection"]) {
      const skip = !how.endsWith("connection") && takesLong;
      it(`${busy}: ${how}`, { timeout: 120_000, skip }, async () => {
        if (how.endsWith("connection")) tasks("new");
        const limit = how === "--timeout" ? ["--timeout", "2s"] : [];
        const command = start("run", "tasks.mjs#spin", "--on", "here", ...limit);
        const [, pid] = await command.see(/spins in (\d+)/);
        if (how !== "--timeout") command.child.kill("SIGINT");
        assert.deepEqual((await command.closed)[0], how === "--timeout" ? 1 : 130);
        assert.deepEqual(await processesGone([Number(pid)], 20_000), []);
        const after = await run("run", "tasks.mjs#count", "--on", "here,local:1");
        assert.deepEqual([after.code, after.stderr], [0, "2 hosts: 2 ok\n"]);
      });
    }

    it("are ended by down", async () => {
      const down = await run("down");
      assert.deepEqual([down.code, down.stdout], [0, "Ended 2 connections.\n"]);
      assert.equal(existsSync(socket), false);
      assert.match((await runHere("down")).stdout, /^No connections are kept/);
    });

    it("are not used by another installation, whose down ends them", async () => {
      assert.equal((await run("up", "--on", "here")).stdout, "kept  1 of 1 host\n");
      const used = await runHere("exec", "--on", "here", "--", "true");
      assert.equal(used.code, 0, used.stderr);
      assert.match(
        used.stderr,
        /^mitogen: connecting anew: another installation of mitogen keeps connections\n/,
      );
      const up = await runHere("up", "--on", "here");
      assert.deepEqual([up.code, up.stdout], [2, ""]);
      assert.match(up.stderr, /another installation of mitogen .* mitogen down/);
      const down = await runHere("down");
      assert.deepEqual(
        [down.code, down.stdout],
        [0, "Ended the connections that another installation of mitogen kept.\n"],
      );
    });
  });

  describe("connections", () => {
    afterEach(end);

    it("end by themselves when nobody has used them for the idle time", async () => {
      await runHere("up", "--on", "here", "--idle", "1ms");
      while (sockets().length > 0) await pause(20);
    });

    it("do not stay if up was killed while it connected", { timeout: 120_000 }, async () => {
      const command = start("up", "--on", "slow");
      const file = join(folder, "slow.pid");
      while (!existsSync(file) || readFileSync(file, "utf8") === "") await pause(20);
      command.child.kill("SIGKILL");
      await command.closed;
      assert.deepEqual(await processesGone([Number(readFileSync(file, "utf8"))], 20_000), []);
    });

    it("in a folder that cannot be trusted stop no other command", async () => {
      const linked = join(folder, "linked");
      mkdirSync(linked);
      mkdirSync(join(folder, "elsewhere"), { mode: 0o700 });
      symlinkSync(join(folder, "elsewhere"), join(linked, "mitogen"));
      const options = { cwd: folder, env: { ...env, XDG_RUNTIME_DIR: linked } };
      const up = await mitogenHere(["up", "--on", "here"], options);
      assert.equal(up.code, 2);
      assert.match(up.stderr, /^mitogen: Cannot keep connections in .*: it is not a folder/);
      assert.deepEqual(readdirSync(join(folder, "elsewhere")), []);
      assert.equal((await mitogenHere(["exec", "--on", "here", "--", "true"], options)).code, 0);
      assert.equal((await mitogenHere(["down"], options)).stdout, "No connections are kept.\n");
    });

    it("are not kept in a folder that others may write to", async () => {
      const open = join(folder, "open");
      const kept = join(open, "mitogen");
      mkdirSync(kept, { recursive: true });
      const refused = async (why: RegExp): Promise<void> => {
        const { code, stderr } = await mitogenHere(["up", "--on", "here"], {
          cwd: folder,
          env: { ...env, XDG_RUNTIME_DIR: open },
        });
        assert.equal(code, 2);
        assert.match(stderr, why);
        assert.deepEqual(readdirSync(kept), []);
      };
      for (const mode of [0o777, 0o770]) {
        chmodSync(kept, mode);
        await refused(/^mitogen: Cannot keep connections in .*: others may write to it/);
      }
      if (process.getuid?.() !== 0) return;
      chmodSync(kept, 0o700);
      chownSync(kept, 12345, 12345);
      await refused(/^mitogen: Cannot keep connections in .*: it belongs to user 12345/);
    });
  });

  describe("connections that all tests share", () => {
    before(async () => {
      tasks("x");
      await runHere("up", "--on", "here,local:1");
    });
    after(end);

    it("report failures as usual, with the error's name and the exit status", async () => {
      const failed = await runHere("run", "tasks.mjs#fail", "--on", "here", "--json");
      assert.equal(failed.code, 1);
      const { error } = JSON.parse(failed.stdout).results[0];
      assert.match(`${error.name}: ${error.message}`, /RangeError.*too far/);
      const command = await runHere(
        "exec",
        "--on",
        "here",
        "--shell",
        "--",
        "echo out; echo err >&2; exit 3",
      );
      assert.equal(command.code, 1);
      assert.match(command.stdout, /here: out\n/);
      assert.match(command.stdout + command.stderr, /here: err\n/);
      assert.match(command.stdout + command.stderr, /exit code 3/);
      assert.equal((await runHere("exec", "--on", "here", "--", "true")).code, 0);
    });

    it("are used only if all hosts are kept, else a note says how many are; --sudo uses them, too", async () => {
      const some = await runHere("run", "tasks.mjs#count", "--on", "local:2,here");
      assert.equal(some.code, 0);
      assert.match(some.stderr, /^mitogen: connecting anew: "mitogen up" keeps 2 of these 3 hosts\n/);
      const none = await runHere("ping", "--on", "local:1", "--sudo=nobody", "--json", "--timeout", "5s");
      assert.doesNotMatch(none.stderr, /anew/);
    });

    it("notice a host that has died, which the next up connects again", async () => {
      const died = await runHere("run", "tasks.mjs#die", "--on", "here");
      assert.equal(died.code, 3, died.stdout + died.stderr);
      assert.match(died.stdout + died.stderr, /here: unreachable/);
      const again = await runHere("run", "tasks.mjs#count", "--on", "here,local:1");
      assert.match(again.stderr, /keeps 1 of these 2 hosts/);
      assert.equal((await runHere("up", "--on", "here,local:1")).stdout, "kept  2 of 2 hosts\n");
      assert.equal(
        (await runHere("run", "tasks.mjs#count", "--on", "here,local:1")).stderr.includes("anew"),
        false,
      );
    });

    it("name the hosts that cannot be kept", async () => {
      const { code, stdout } = await runHere("up", "--on", "here,odd");
      assert.equal(code, 3);
      assert.match(stdout, /^unreachable {2}odd: .+\nkept {2}1 of 2 hosts\n$/);
    });
  });
});
