import assert from "node:assert/strict";
import { once } from "node:events";
import fs from "node:fs";
import { syncBuiltinESMExports } from "node:module";
import { after, before, describe, it } from "node:test";
import { ToolProcess } from "../../../src/connection/children/tool-process.ts";
import { collectLogs } from "../../support/collect-logs.ts";
import { checkLeaks, descendants, processesGone } from "../../support/leak-check.ts";

// Neither a tool nor a connect keeps a program alive, so this timer does. It ends before the leak check, which
// looks at timers too.
let hold: NodeJS.Timeout;
before(() => {
  hold = setInterval(() => undefined, 60_000);
});
after(() => clearInterval(hold));

checkLeaks();

const SIGTERM_MS = 1000;
const CLOCK_SLACK_MS = 20;

/**
 * Starts a shell script that prints `ready` `readyCount` times. `said` resolves to the rest of its output when
 * the script has ended.
 */
async function start(
  script: string,
  readyCount = 1,
): Promise<[tool: ToolProcess, said: () => Promise<string>]> {
  const tool = new ToolProcess(["sh", "-c", script]);
  let text = "";
  tool.stdout.on("data", (chunk) => {
    text += chunk;
  });
  while (text.split("ready\n").length <= readyCount) await once(tool.stdout, "data");
  return [
    tool,
    async () => {
      await tool.drained();
      return text.replaceAll("ready\n", "");
    },
  ];
}

describe("ToolProcess.end", () => {
  it("sends no signal to a tool that ends by itself within the grace period", async () => {
    const [tool, said] = await start("trap 'echo SIGTERM' TERM; echo ready; read line; sleep 0.3; echo bye");
    tool.hangUp();
    await tool.end(5000);
    assert.deepEqual([tool.exit, await said()], [{ code: 0, signal: null }, "bye\n"]);
  });

  it("sends SIGTERM to another tool and all processes below it, and keeps the tool's exit code", async () => {
    const [tool, said] = await start(
      `(trap 'echo child; exit' TERM; echo ready; while :; do sleep 0.05; done) &
      trap 'echo parent; exit 5' TERM; echo ready; while :; do sleep 0.05; done`,
      2,
    );
    const pids = descendants(tool.pid as number);
    await tool.end(50);
    assert.deepEqual(tool.exit, { code: 5, signal: null });
    assert.deepEqual((await said()).trim().split("\n").sort(), ["child", "parent"]);
    assert.deepEqual(await processesGone(pids, 0), []);
  });

  it("kills a tool that ignores SIGTERM, but not before it has had its time", async () => {
    const [tool] = await start(
      `trap '' TERM; (echo ready; while :; do sleep 0.05; done) & echo ready; while :; do sleep 0.05; done`,
      2,
    );
    const pids = descendants(tool.pid as number);
    const started = performance.now();
    await tool.end(0);
    // Two clocks, and timers that count whole milliseconds.
    assert.ok(performance.now() - started >= SIGTERM_MS - CLOCK_SLACK_MS);
    assert.deepEqual(tool.exit, { code: null, signal: "SIGKILL" });
    assert.deepEqual(await processesGone(pids, 1000), []);
  });

  for (const [title, script, lists] of [
    ["that is missing from the list in which its parent has ended", "sleep 1000 & echo $! ready", 1],
    ["that is on no list", "trap '' TERM; sleep 1000 & echo $! ready; wait", Number.POSITIVE_INFINITY],
  ] as const) {
    it(`ends a process of the group ${title}`, async (t) => {
      const tool = new ToolProcess(["sh", "-c", script]);
      const [line] = await once(tool.stdout, "data");
      const left = Number.parseInt(String(line), 10);
      if (lists === 1) await tool.exited;
      let listed = 0;
      const { readdirSync } = fs;
      t.mock.method(fs, "readdirSync", (path: string) => {
        const names = readdirSync(path);
        // Not from the first list, which decides whether there is something to end.
        const isHidden = path === "/proc" && ++listed > 1 && listed <= 1 + lists;
        return isHidden ? names.filter((name) => name !== String(left)) : names;
      });
      syncBuiltinESMExports();
      await tool.end(0);
      t.mock.restoreAll();
      syncBuiltinESMExports();
      assert.ok(listed > 1);
      assert.deepEqual(await processesGone([left], 1000), []);
    });
  }

  it("kills processes that each start another and end, so that a list may miss them", async () => {
    // Not for ever, so that the processes do not outlive a test that is killed.
    const script =
      'trap "" TERM; [ $1 -lt 9999 ] || { echo survived; exit; }; sh -c "$0" "$0" $(($1 + 1)) & exit';
    const tool = new ToolProcess(["sh", "-c", `trap '' TERM; sh -c '${script}' '${script}' 0 & echo ready`]);
    let text = "";
    tool.stdout.on("data", (chunk) => {
      text += chunk;
    });
    // The stream ends when the last process that holds it has gone.
    const closed = once(tool.stdout, "end");
    await once(tool.stdout, "data");
    await tool.end(0);
    await closed;
    assert.equal(text, "ready\n");
  });

  it("gives up, with a warning, a tool that it may not signal; the tool ends with its pipes", async (t) => {
    const logs = collectLogs("warning");
    const [tool] = await start("echo ready; exec cat");
    const kill = t.mock.method(process, "kill", () => {
      throw Object.assign(new Error("kill EPERM"), { code: "EPERM" });
    });
    await tool.end(0);
    kill.mock.restore();
    assert.equal(tool.exit, undefined);
    assert.deepEqual(
      kill.mock.calls.map(({ arguments: [, signal] }) => signal),
      ["SIGTERM", "SIGKILL"],
    );
    assert.match(logs.records[0]?.message ?? "", new RegExp(`Process ${tool.pid} could not be ended`));
    tool.hangUp();
    await tool.drained();
    assert.deepEqual(tool.exit, { code: 0, signal: null });
    logs.stop();
  });

  it("does nothing to a tool that has ended, or never started", async (t) => {
    const ended = new ToolProcess(["true"]);
    await ended.drained();
    const missing = new ToolProcess(["/nonexistent/tool"]);
    await assert.rejects(missing.exited, { code: "ENOENT" });
    const kill = t.mock.method(process, "kill", () => assert.fail("it was signalled"));
    await ended.end(0);
    await missing.end(0);
    kill.mock.restore();
  });
});

describe("ToolProcess.drained", () => {
  it("waits for output that comes after the exit, but not for a daemon that holds the stream", async () => {
    // All on one stream, because Node drops the output of a stream that nobody reads when the process has ended.
    const [, said] = await start("sleep 30 & echo $!; echo ready; echo last");
    const [pid, last] = (await said()).split("\n");
    assert.equal(last, "last");
    process.kill(Number(pid), "SIGKILL");
  });
});
