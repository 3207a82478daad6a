/** Waits for contexts that do not answer: whoever waits can end the wait. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, readlinkSync } from "node:fs";
import { join } from "node:path";
import { after, describe, it, type TestContext } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import {
  type Context,
  getFile,
  PushFileService,
  putFile,
  Receiver,
  Router,
  runSsh,
} from "../../src/index.ts";
import { Handle } from "../../src/wire/handles.ts";
import * as remote from "../fixtures/remote/functions.ts";
import * as streams from "../fixtures/remote/streams.ts";
import { sampleOf } from "../support/extent.ts";
import { repoRoot } from "../support/lab.ts";
import { checkLeaks, descendants, processesGone } from "../support/leak-check.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

checkLeaks({ ignoreCommand: /esbuild/ });

/** One folder for all, because the tests of this file run at the same time. */
const temporary = temporaryFolder({ after: after as TestContext["after"] });
let folderCount = 0;

function newFolder(): string {
  const folder = join(temporary, String(++folderCount));
  mkdirSync(folder);
  return folder;
}

interface Hostile {
  readonly context: Context;
  /** The handles of the messages that it was sent. */
  heard(): number[];
}

/** Starts tests/fixtures/hostile/silent.mjs in `mode`. */
async function hostile(router: Router, mode: string, via?: Context): Promise<Hostile> {
  const path = join(newFolder(), "heard");
  const script = join(repoRoot, "tests/fixtures/hostile/silent.mjs");
  const context = await router.exec({
    command: [process.execPath, script, mode, path],
    name: mode,
    via,
  });
  const text = (): string => (existsSync(path) ? readFileSync(path, "utf8") : "");
  return { context, heard: () => text().trim().split("\n").map(Number) };
}

/** Polls, because the condition depends on another process. */
async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await pause(20);
}

const failureOf = (promise: Promise<unknown>): Promise<Error & { code: string }> =>
  promise.then(
    () => assert.fail("it did not reject"),
    (error) => error,
  );

/** Whether this process has a descriptor of a file. */
function isOpen(path: string): boolean {
  return readdirSync("/proc/self/fd").some((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`) === path;
    } catch {
      return false; // the descriptor that listed the folder
    }
  });
}

async function beforeStop(context: Context): Promise<number> {
  return await context.call(remote.pid);
}

// Concurrent, because these tests spend most of their time waiting.
describe("waiting ends:", { concurrency: true }, () => {
  describe("a connect via a context that does not answer", { concurrency: true }, () => {
    for (const depth of sampleOf(2, [2, 1])) {
      it(`ends at its timeoutMs, at depth ${depth}, and the context is told to give it up`, async () => {
        await using router = new Router();
        const above = depth === 1 ? undefined : await router.local();
        const { context, heard } = await hostile(router, "silent", above);
        const error = await failureOf(router.local({ via: context, timeoutMs: 500 }));
        assert.equal(error.code, "ERR_TIMEOUT");
        assert.match(
          error.message,
          /^Cannot connect with local\(\) via .*silent: no answer within 1500 ms; check whether/,
        );
        assert.equal((error as unknown as { details: { method: string } }).details.method, "local");
        await until(() => heard().includes(Handle.END_CHILD));
      });
    }

    for (const mode of sampleOf(2, ["late", "claims"])) {
      it(`leaves no context behind that ${mode === "late" ? "comes" : "was claimed"} ${mode === "late" ? "late" : "without an answer"}`, async () => {
        await using router = new Router();
        const { context, heard } = await hostile(router, mode);
        const failed = failureOf(router.local({ via: context, timeoutMs: 100 }));
        assert.equal((await failed).code, "ERR_TIMEOUT");
        await until(() => heard().includes(Handle.END_CHILD) && router.dump().includes("ghost"));
        // Without a word from the hop that it has ended it.
        await until(() => !router.dump().includes("ghost"));
        assert.equal(context.goneReason, undefined);
      });
    }
  });

  it("a connect via a context whose answer is nonsense fails, and the context that it claimed is removed", async () => {
    await using router = new Router();
    const { context } = await hostile(router, "nonsense");
    for (let answer = 0; answer < 6; answer++) {
      const error = await failureOf(router.local({ via: context }));
      assert.equal(error.code, "ERR_PROTOCOL", String(error));
      assert.match(error.message, /^Cannot connect with local\(\) via nonsense: its answer reports neither/);
    }
    assert.equal((await failureOf(router.local({ via: context }))).code, "ERR_STREAM");
    await until(() => !router.dump().includes("ghost"));
  });

  describe("shutdown of a context behind a hop", { concurrency: true }, () => {
    it("that does not answer resolves, and ends waits for the context", async () => {
      await using router = new Router();
      const { context } = await hostile(router, "connects");
      const ghost = await router.local({ via: context });
      const waiting = failureOf(new Receiver(router, { respondent: ghost }).get());
      await ghost.shutdown();
      await ghost.disconnected;
      const reason = "connects.ghost: was given up: connects did not say within 10000 ms that it has ended";
      assert.equal((await waiting).message, reason);
      assert.equal(ghost.goneReason, reason);
      await assert.rejects(ghost.call(remote.add, 1, 1), { code: "ERR_CHANNEL" });
    });

    it("that falsely reports the end resolves, and the context is gone", async () => {
      await using router = new Router();
      const { context } = await hostile(router, "lies");
      const ghost = await router.local({ via: context });
      await ghost.shutdown();
      assert.equal(ghost.goneReason, "lies.ghost: was shut down");
    });
  });

  describe("a connect that its caller gives up", () => {
    it("is cancelled by a genuine hop, which ends its process", async () => {
      await using router = new Router();
      const hop = await router.local();
      // Loads the hop's code for connects.
      await failureOf(router.exec({ command: ["false"], via: hop }));
      const path = join(newFolder(), "pid");
      const command = ["sh", "-c", `echo $$ > ${path}; exec sleep 1000`];
      const identity = { contextId: 4711, remoteName: "x", logLevel: 0 };
      const connecting = hop.request(Handle.CONNECT_CHILD, ["exec", { command }, identity, 0]);
      await until(() => existsSync(path) && readFileSync(path, "utf8").endsWith("\n"));
      await hop.request(Handle.END_CHILD, [4711]);
      const { failed } = (await connecting) as { failed: [string, string] };
      assert.equal(failed[0], "CancelledError");
      assert.match(failed[1], /the caller gave it up/);
      assert.deepEqual(await processesGone([Number(readFileSync(path, "utf8"))], 5000), []);
    });
  });

  describe("with a context that is stopped", { concurrency: true }, () => {
    it("leaving the loop over its stream does not wait, and PushFileService.propagateTo ends at its timeoutMs", async () => {
      await using router = new Router();
      const context = await router.local();
      const pid = await beforeStop(context);
      const ended = new Receiver<string>(router);
      for await (const _ of context.stream(streams.endless, ended.toSender())) {
        process.kill(pid, "SIGSTOP");
        break;
      }
      ended.close();
      // The loop did not end because the context was given up.
      assert.equal(context.goneReason, undefined);
      const files = new PushFileService(router);
      const error = await failureOf(files.propagateTo(context, "/x", "data", { timeoutMs: 500 }));
      assert.equal(error.code, "ERR_TIMEOUT");
    });

    it("putFile ends at its timeoutMs, and leaves no descriptor open", async () => {
      await using router = new Router();
      const context = await router.local();
      const pid = await beforeStop(context);
      const folder = newFolder();
      const large = join(folder, "large");
      execFileSync("truncate", ["-s", "64M", large]);
      let isStopped = false;
      const onProgress = (): void => {
        if (!isStopped) process.kill(pid, "SIGSTOP");
        isStopped = true;
      };
      const options = { timeoutMs: 3000, onProgress };
      const error = await failureOf(putFile(context, join(folder, "copy"), large, options));
      assert.deepEqual([error.code, isStopped], ["ERR_TIMEOUT", true]);
      assert.equal(context.goneReason, undefined);
      await until(() => !isOpen(large));
    });
  });

  describe("a context that answers before it has done its part", { concurrency: true }, () => {
    it("fails getFile and putFile with a ProtocolError, and ends the ssh of a tool without waiting for output", async () => {
      await using router = new Router();
      const { context } = await hostile(router, "done");
      const folder = newFolder();
      const message = /it answered before all of the file was transferred/;
      await assert.rejects(getFile(context, "/x", join(folder, "copy")), { code: "ERR_PROTOCOL", message });
      await assert.rejects(putFile(context, "/x", Buffer.from("x")), { code: "ERR_PROTOCOL", message });
      assert.equal(existsSync(join(folder, "copy")), false);
      const { code } = await runSsh(context, ["ssh", "any", "true"], { stdio: "collect" });
      assert.equal(code, 255);
    });
  });
});

describe("router.disconnect", () => {
  it("resolves although the thread is inside a system call", async (t) => {
    await using router = new Router();
    const thread = await router.thread();
    await thread.call(remote.add, 1, 1);
    const before = new Set(descendants(process.pid));
    thread.callNoReply(remote.hangInSubprocess);
    const started = (): number[] => descendants(process.pid).filter((pid) => !before.has(pid));
    await until(() => started().length > 0);
    const [sleep] = started() as [number];
    t.after(() => process.kill(sleep, "SIGKILL"));
    await router.disconnect(thread);
    assert.ok(existsSync(`/proc/${sleep}`), "the system call still waits");
  });
});
