import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import * as fs from "node:fs";
import { readFileSync } from "node:fs";
import * as os from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { ChannelError, type Context, Router } from "../../src/index.ts";
import * as remote from "../fixtures/remote/functions.ts";
import { collectLogs } from "../support/collect-logs.ts";
import { repoRoot } from "../support/lab.ts";
import { checkLeaks, processesGone } from "../support/leak-check.ts";

checkLeaks({ ignoreCommand: /esbuild/ });

const unexpected = (): never => assert.fail("it went on");

/** Process group and session: fields 5 and 6 of proc(5) stat; the command may hold spaces and parentheses. */
const groupAndSession = (pid: number): string[] => {
  const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
  return stat
    .slice(stat.lastIndexOf(")") + 2)
    .split(" ")
    .slice(2, 4);
};

describe("a local child", () => {
  let router: Router;
  /** One that no test ends. */
  let lasting: Context;
  before(async () => {
    router = new Router();
    lasting = await router.local({ name: "lasting" });
  });
  after(() => router.shutdown());

  it("shares the program's directory, and has a session and a process group of its own", async () => {
    const pid = await lasting.call(remote.pid);
    assert.equal((await lasting.call(remote.describeProcess)).cwd, process.cwd());
    // A signal to the program's group, from Ctrl-C for example, must not reach the context; and the context's
    // group shows which processes it has left behind.
    assert.deepEqual(groupAndSession(pid), [`${pid}`, `${pid}`]);
  });
  it("is named local.<pid>, and shows remoteName in the process list", async () => {
    const context = await router.local({ remoteName: "i-have-a-name" });
    const pid = await context.call(remote.pid);
    assert.equal(context.name, `local.${pid}`);
    assert.match(readFileSync(`/proc/${pid}/cmdline`, "latin1"), /^mitogen:i-have-a-name/);
    assert.equal(lasting.name, "lasting");
    const title = readFileSync(`/proc/${await lasting.call(remote.pid)}/cmdline`, "latin1");
    assert.ok(title.startsWith(`mitogen:${os.userInfo().username}@${os.hostname()}:${process.pid}`), title);
  });
  it("may be started by a wrapper that prints something", async () => {
    const nodePath = ["sh", "-c", `echo wrapped >&2; exec ${process.execPath} "$@"`, "sh"];
    const context = await router.local({ nodePath });
    assert.equal(await context.call(remote.add, 1, 1), 2);
  });
  it("gives user code an empty stdin", async () => {
    assert.equal(await lasting.call(remote.linkOf, "/proc/self/fd/0"), "/dev/null");
    assert.equal(await lasting.call(remote.readStdin), 0);
  });
  it("has blocking stdout and stderr, so that a large write to a descriptor is complete", async () => {
    for (const fd of [1, 2]) {
      const info = await lasting.call(readFileSync, `/proc/self/fdinfo/${fd}`, "utf8");
      const flags = Number.parseInt(/flags:\s*(\d+)/.exec(info)?.[1] as string, 8);
      assert.equal(flags & fs.constants.O_NONBLOCK, 0);
      const text = "y".repeat(2_000_000);
      assert.equal(await lasting.call(fs.writeSync, fd, text), text.length);
    }
  });
  it("has its own stdout and stderr, though other code opens files while they are replaced", async () => {
    const slow = join(repoRoot, "tests/fixtures/slow-close.cjs");
    const context = await router.local({ nodePath: [process.execPath, "-r", slow] });
    for (const [fd, tap] of [
      [1, 5],
      [2, 6],
    ]) {
      const pipe = await context.call(remote.linkOf, `/proc/self/fd/${tap}`);
      assert.equal(await context.call(remote.linkOf, `/proc/self/fd/${fd}`), pipe);
    }
  });
  it("starts although descriptors 0 to 2 are closed, in the program or in the child", async () => {
    const program = spawn(
      "sh",
      ["-c", `exec "$0" tests/fixtures/programs/e2e/closed-stdio.mjs <&- >&- 2>&-`, process.execPath],
      {
        cwd: repoRoot,
        stdio: "ignore",
      },
    );
    const [code] = await once(program, "exit");
    assert.equal(code, 0);
    const nodePath = ["sh", "-c", `exec ${process.execPath} "$@" <&- >&- 2>&-`, "sh"];
    const context = await router.local({ nodePath });
    assert.equal(await context.call(remote.add, 1, 1), 2);
  });

  it("whose link carries junk ends with one error that shows a sample, and other links go on", async () => {
    const logs = collectLogs("error");
    const bad = await router.local();
    const waiting = bad.call(remote.echoLater, 1, 100_000);
    const outcome = waiting.then(unexpected, (error) => error as Error);
    bad.callNoReply(fs.writeSync as (fd: number, text: string) => number, 4, "this is no frame".repeat(1000));
    assert.ok((await outcome) instanceof ChannelError);
    assert.equal(await lasting.call(remote.add, 1, 1), 2);
    const errors = logs.records.filter(({ message }) => /bad magic/.test(message));
    assert.equal(errors.length, 1);
    assert.ok((errors[0]?.message.length ?? 0) < 2500);
    assert.match(errors[0]?.message ?? "", /this is no frame/);
    logs.stop();
  });
  it("whose link is closed wakes callers, receivers and iterations at once", async () => {
    const context = await router.local();
    const receiver = context.callAsync(remote.echoLater, 1, 100_000);
    const call = context.call(remote.echoLater, 1, 100_000).then(unexpected, (error) => error as Error);
    const got = receiver.get().then(unexpected, (error) => error as Error);
    await context.call(remote.killYourself).catch(() => undefined);
    assert.ok((await call) instanceof ChannelError);
    assert.ok((await got) instanceof ChannelError);
    for await (const _message of context.callAsync(remote.add, 1, 1)) assert.fail("it is gone");
  });

  it("is cut off by router.disconnect: it is reaped, its callers are told, and the others go on", async () => {
    const cut = await router.local();
    const pid = await cut.call(remote.pid);
    const waiting = cut.call(remote.echoLater, 1, 60_000).then(unexpected, (error) => error as Error);
    await router.disconnect(cut);
    assert.match((await waiting).message, /was disconnected/);
    assert.deepEqual(await processesGone([pid], 3000), []);
    await assert.rejects(cut.call(remote.pid), ChannelError);
    await router.disconnect(cut);
    assert.equal(await lasting.call(remote.add, 1, 1), 2);
  });

  it("copies log levels when it connects, and does not send what nobody listened to then", async () => {
    const quiet = await router.local();
    const logs = collectLogs("info");
    const loud = await router.local();
    await quiet.call(remote.print, "unheard");
    await loud.call(remote.print, "heard");
    assert.deepEqual(logs.lines("stdout"), ["heard"]);
    assert.equal(logs.records.find(({ mitogenMsg }) => mitogenMsg === "heard")?.mitogenContext, loud);
    logs.stop();
  });
});
