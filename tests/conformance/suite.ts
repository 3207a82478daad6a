import assert from "node:assert/strict";
import * as fs from "node:fs";
import * as os from "node:os";
import { after, before, describe, it } from "node:test";
import {
  CallError,
  ChannelError,
  type Context,
  type LogRecord,
  Receiver,
  Router,
  TimeoutError,
} from "../../src/index.ts";
import unnamed, * as remote from "../fixtures/remote/functions.ts";
import * as withMitogen from "../fixtures/remote/with-mitogen.ts";
import { type CollectedLogs, collectLogs } from "../support/collect-logs.ts";
import { isFull, isQuick, takesLong } from "../support/extent.ts";
import { processesGone } from "../support/leak-check.ts";

export interface ConformanceOptions {
  /** Starts the context under test; called many times. */
  connect(router: Router): Promise<Context>;
  /** The account the child must run as. */
  remoteUser?: string;
  /** The major version of the child's node. */
  major?: number | "any";
  /**
   * Whether the child runs on this machine in this process's pid namespace, so that its processes can be
   * looked for.
   */
  isLocal?: boolean;
  /** Whether the context is a thread of this process, so that tests of a process of its own do not apply. */
  isThread?: boolean;
  /** Ends almost as another context does whose ends every run tests in all ways. */
  endsAlike?: boolean;
  skip?: string | false;
}

const MIB = 1024 * 1024;
const CALLS = isFull ? 10_000 : isQuick ? 500 : 2_000;
const LINES = isQuick ? 5_000 : 20_000;
const LARGE_MIB = isQuick ? 4 : 16;

/** What every context must do, however it was started. */
export function conformance(title: string, options: ConformanceOptions): void {
  // A thread has no process, stdio and signals of its own, so tests of those leave it out.
  const itIfProcess: typeof it = options.isThread ? (((): undefined => undefined) as never) : it;
  const major =
    options.major === "any" ? undefined : (options.major ?? Number.parseInt(process.versions.node, 10));
  describe(title, { skip: options.skip ?? false, concurrency: false }, () => {
    let router: Router;
    let context: Context;
    let logs: CollectedLogs;
    before(async () => {
      logs = collectLogs();
      router = new Router();
      context = await options.connect(router);
    });
    after(async () => {
      await router.shutdown();
      logs.stop();
    });

    describe("calls", () => {
      it("return the value of functions, async functions, arrows, static methods and default exports", async () => {
        assert.equal(await context.call(remote.add, 2, 3), 5);
        assert.equal(await context.call(remote.echoLater, "x", 1), "x");
        assert.equal(await context.call(remote.arrow, 4), 8);
        assert.equal(await context.call(remote.Tools.join, "a", "b"), "tools:a-b");
        assert.equal(await context.call(remote.Tools.Inner.deep), "deep");
        assert.equal(await context.call(unnamed), "default");
        assert.equal(await context.call(withMitogen.plus, 1, 1), 2);
      });
      it("reach functions of node: modules and globals", async () => {
        assert.equal(typeof (await context.call(os.hostname)), "string");
        assert.ok((await context.call(Date.now)) > 1e12);
        assert.ok(Buffer.isBuffer(await context.call(fs.promises.readFile, "/etc/passwd")));
        assert.equal(await context.call(encodeURIComponent, "a b"), "a%20b");
      });
      it("carry every type that travels, both ways", async () => {
        const value = {
          list: [
            undefined,
            null,
            true,
            0,
            -0,
            Number.NaN,
            Number.NEGATIVE_INFINITY,
            1.5,
            2 ** 60,
            123n,
            -(2n ** 200n),
          ],
          text: ["", "é😀", "\ud800 lone"],
          bytes: [
            Buffer.from("x"),
            new Uint8Array([1, 2]),
            new Float64Array([1.5]),
            new BigInt64Array([-1n]),
          ],
          map: new Map<unknown, unknown>([[1, "a"]]),
          set: new Set([1]),
          date: new Date(1700000000123),
        };
        assert.deepEqual(await context.call(remote.echo, value), value);
      });
      it("start in the order made; asynchronous ones overlap", async () => {
        const first = context.call(remote.begin, "a");
        const second = context.call(remote.begin, "b");
        assert.deepEqual((await context.call(remote.release)).slice(0, 2), ["start a", "start b"]);
        assert.deepEqual((await second).slice(0, 3), ["start a", "start b", "end a"]);
        await first;
      });
      it("end by the caller's timeout or signal, and the function goes on", async () => {
        await assert.rejects(context.with({ timeoutMs: 20 }).call(remote.echoLater, 1, 10_000), TimeoutError);
        const abort = new AbortController();
        const call = context.with({ signal: abort.signal }).call(remote.echoLater, 1, 10_000);
        abort.abort(new Error("enough"));
        await assert.rejects(call, /enough/);
        assert.equal(await context.call(remote.add, 1, 1), 2);
      });
      it("by callAsync deliver one message; calls by callNoReply log a failure as ERROR", async () => {
        const receiver = context.callAsync(remote.add, 1, 2);
        const message = await receiver.get({ timeoutMs: 10_000 });
        assert.equal(message.decode(), 3);
        assert.equal(message.context, context);
        await assert.rejects(receiver.get(), ChannelError);
        context.callNoReply(remote.fail, "unseen");
        const isFailure = ({ level, message }: LogRecord): boolean =>
          level === "error" && /unseen/.test(message);
        await logs.until(() => logs.records.some(isFailure));
        const logged = logs.records.find(isFailure)?.message ?? "";
        assert.match(logged, /functions\.(ts|js):\d+/);
        assert.doesNotMatch(logged, /mitogen:payload/);
      });
      it(`${CALLS} at once are all answered`, async () => {
        const calls = Array.from({ length: CALLS }, (_, index) => context.call(remote.add, index, 1));
        assert.deepEqual(
          await Promise.all(calls),
          Array.from({ length: CALLS }, (_, index) => index + 1),
        );
      });
      it(`carry ${LARGE_MIB} MiB each way, unchanged`, async () => {
        const bytes = Buffer.alloc(LARGE_MIB * MIB);
        for (let index = 0; index < bytes.length; index++) bytes[index] = (index * 31) >>> 3;
        assert.ok(bytes.equals((await context.call(remote.echo, bytes)) as Buffer));
      });
      it("pass contexts and senders; a context comes back as the same object", async () => {
        const [id, name, back] = await context.call(withMitogen.sameContext, context);
        // Every context is `self` to itself.
        assert.deepEqual([id, name], [context.contextId, "self"]);
        assert.equal(back, context);
        const receiver = new Receiver<number>(router);
        const call = context.call(withMitogen.sendNumbers, receiver.toSender(), 100);
        const got: number[] = [];
        for await (const message of receiver) got.push(message.decode());
        receiver.close();
        await call;
        assert.deepEqual(
          got,
          Array.from({ length: 100 }, (_, index) => index),
        );
      });
      it("can import mitogen, whose isMain() is false there", async () => {
        assert.equal(await context.call(withMitogen.isMainHere), false);
      });
    });

    describe("errors", () => {
      it("arrive as CallError with name, message, code, own properties, cause and stack", async () => {
        const error = await rejection(context.call(remote.fail, "broken"));
        assert.ok(error instanceof CallError);
        assert.equal(error.message, "AppError: broken");
        assert.equal(error.code, "E_APP");
        assert.deepEqual((error as unknown as remote.AppError).detail, { retries: [1, 2] });
        assert.equal((error.cause as Error).name, "AppError");
        assert.match(error.stack as string, /functions\.(ts|js):\d+/);
        assert.match(error.stack as string, /suite\.(ts|js)/, "the stack ends where the call was made");
        assert.doesNotMatch(error.stack as string, /mitogen:payload/);
      });
      it("of the system keep code, errno and syscall", async () => {
        const error = await rejection(
          options.isThread
            ? context.call(fs.promises.readdir as (path: string) => Promise<string[]>, "/nonexistent")
            : context.call(process.chdir, "/nonexistent"),
        );
        assert.ok(error instanceof CallError);
        assert.equal(error.code, "ENOENT");
        assert.equal(
          (error as unknown as { syscall: string }).syscall,
          options.isThread ? "scandir" : "chdir",
        );
        assert.equal(typeof (error as unknown as { errno: number }).errno, "number");
      });
      it("arrive even if they are thrown later, have a cause, come together, or are no errors", async () => {
        assert.match((await rejection(context.call(remote.failLater))).message, /TypeError: later/);
        const outer = await rejection(context.call(remote.failWithCause));
        assert.equal(((outer.cause as Error).cause as Error).message, "inner");
        assert.ok((outer.cause as Error).cause instanceof TypeError);
        assert.match((await rejection(context.call(remote.failWith, 5))).message, /5/);
        assert.match((await rejection(context.call(remote.failWith, null))).message, /null/);
        if (major === undefined || major >= 15) {
          const together = (await rejection(context.call(remote.failTogether))).cause as AggregateError;
          assert.deepEqual(
            together.errors.map((error: Error) => error.message),
            ["one", "two"],
          );
        }
      });
      it("too long to travel whole arrive truncated", async () => {
        const error = await rejection(context.call(remote.fail, "x".repeat(20_000)));
        assert.ok(error instanceof CallError);
        assert.ok(error.message.length > 10_000);
      });
      it("of values that cannot be sent name the place, in an argument or in a return value", async () => {
        await assert.rejects(
          context.call(remote.echo, { a: [{ fn() {} }] }),
          (error: Error) => error instanceof TypeError && /argument 0\.a\[0\]\.fn/.test(error.message),
        );
        const error = await rejection(context.call(remote.returnFunction));
        assert.match(error.message, /list\[1\]/);
        assert.equal(await context.call(remote.add, 1, 1), 2);
      });
    });

    describe("output and logs", () => {
      it("stdout and stderr arrive line by line, ahead of the value of the call that wrote them", async () => {
        await context.call(remote.print, "one", "two");
        assert.deepEqual(logs.lines("stdout", context.name).slice(-2), ["one", "two"]);
        await context.call(remote.printError, "oh");
        assert.equal(logs.lines("stderr", context.name).pop(), "oh");
        const record = logs.records.find(({ mitogenMsg }) => mitogenMsg === "two");
        assert.equal(record?.level, "info");
        assert.equal(record?.logger, `mitogen.ctx.${context.name}`);
        assert.equal(record?.message, "stdout: two");
        assert.equal(record?.mitogenContext, context);
        const { contextId, name } = context;
        assert.deepEqual(JSON.parse(JSON.stringify(record)).mitogenContext, { contextId, name });
      });
      it(`${LINES} rapid lines arrive once each, in order`, async () => {
        const before = logs.lines("stdout").length;
        await context.call(remote.printNumbers, LINES);
        const lines = logs.lines("stdout").slice(before);
        assert.equal(lines.length, LINES);
        assert.ok(lines.every((line, index) => line === `line ${index}`));
      });
      it("a line of 1 MiB and invalid UTF-8 arrive", async () => {
        await context.call(remote.print, "y".repeat(MIB));
        assert.equal(logs.lines("stdout").pop(), "y".repeat(MIB));
        if (options.isThread) return;
        await context.call(remote.printBytes, Buffer.from([0x61, 0xff, 0x62, 0x0a]));
        await logs.until(() => logs.lines("stdout").includes("a\ufffdb"));
      });
      it("arrive after a function has destroyed its stdout, which has no effect in Node either", async () => {
        assert.equal(await context.call(remote.printAfterDestroy, "still here"), true);
        assert.equal(logs.lines("stdout", context.name).pop(), "still here");
      });
      itIfProcess("of subprocesses arrive; their stdin is at its end", async () => {
        assert.equal(await context.call(remote.printFromSubprocess, MIB), 0);
        await logs.until(() => logs.lines("stdout").includes("stdin:"));
        assert.ok(logs.lines("stdout").includes("x".repeat(MIB)));
        await logs.until(() => logs.lines("stderr").includes("y".repeat(MIB)));
        assert.equal(await context.call(remote.readStdin), 0);
      });
      it("of getLogger arrive with their level and name", async () => {
        await context.call(withMitogen.logEveryLevel);
        const own = logs.records.filter(({ mitogenName }) => mitogenName === "app.remote");
        assert.deepEqual(
          own.map(({ level }) => level),
          ["error", "warning", "info", "debug"],
        );
        assert.equal(own[0]?.message, "app.remote: an error");
      });
      itIfProcess("subprocesses inherit no descriptor of the transport, and blocking stdio", async () => {
        const { own, subprocess } = await context.call(remote.inheritedDescriptors);
        assert.equal(own.length, 4);
        for (const link of own) assert.ok(!subprocess.includes(link), link);
        const O_NONBLOCK = 0o4000;
        for (const flags of await context.call(remote.subprocessFlags)) assert.equal(flags & O_NONBLOCK, 0);
      });
    });

    describe("identity", () => {
      itIfProcess(
        "the process is titled for the program that made it, and user code sees a clean command line",
        async () => {
          const seen = await context.call(remote.describeProcess);
          assert.equal(seen.title, `mitogen:${os.userInfo().username}@${os.hostname()}:${process.pid}`);
          if (options.remoteUser !== undefined) {
            assert.equal(
              (await context.call(os.userInfo as () => os.UserInfo<string>)).username,
              options.remoteUser,
            );
          }
          assert.deepEqual([seen.argv, seen.execArgv], [1, 0]);
          if (major !== undefined) assert.equal(Number.parseInt(seen.version.slice(1), 10), major);
        },
      );
    });

    describe("ends", () => {
      const skip = options.endsAlike === true && takesLong;
      const ends = (
        what: string,
        end: (doomed: Context) => Promise<unknown>,
        expected: RegExp,
        skip: string | false = false,
      ): void => {
        it(`${what} rejects the waiting callers with what happened`, { skip }, async () => {
          const doomed = await options.connect(router);
          const pid = await doomed.call(remote.pid);
          const waiting = doomed.call(remote.echoLater, 1, 100_000);
          waiting.catch(() => undefined);
          const [error, other] = await Promise.all([rejection(end(doomed)), rejection(waiting)]);
          assert.ok(error instanceof ChannelError, String(error));
          assert.ok(other instanceof ChannelError);
          assert.match(error.message, expected);
          await doomed.disconnected;
          await assert.rejects(doomed.call(remote.pid), ChannelError);
          if (options.isLocal) assert.deepEqual(await processesGone([pid], 5000), []);
          assert.equal(await context.call(remote.add, 1, 1), 2, "other contexts go on");
        });
      };
      ends(
        "process.exit",
        (doomed) => doomed.call(remote.exitWith, 3, "my last words"),
        options.isThread
          ? /the thread exited with code 3/
          : /the process exited with code 3[\s\S]*my last words/,
      );
      ends(
        "an uncaught exception",
        (doomed) => doomed.call(remote.throwUncaught),
        /nobody catches this/,
        skip,
      );
      ends(
        "an unhandled rejection",
        (doomed) => doomed.call(remote.rejectUnhandled),
        /nobody handles this/,
        skip,
      );
      if (!options.isThread)
        ends("SIGKILL", (doomed) => doomed.call(remote.killYourself), /disconnected|SIGKILL|137|closed/);

      for (const [what, hang] of [
        ["an endless loop", remote.hang],
        ["execFileSync", remote.hangInSubprocess],
      ] as const) {
        const itIfEndable = what === "execFileSync" ? itIfProcess : it;
        itIfEndable(
          `shutdown ends a context that hangs in ${what}, with its subprocesses, and nothing else`,
          { skip: what === "execFileSync" && skip },
          async () => {
            const hung = await options.connect(router);
            const pid = await hung.call(remote.pid);
            // Nobody is left to reap a process that a terminated thread has started.
            const subprocess = options.isThread ? pid : await hung.call(remote.startSubprocess);
            const call = hung.call(hang);
            const outcome = rejection(call);
            assert.equal(await context.call(remote.add, 2, 2), 4);
            const started = Date.now();
            await hung.shutdown();
            assert.ok(Date.now() - started < 5000, "within the grace");
            assert.ok((await outcome) instanceof ChannelError);
            assert.equal(await context.call(remote.add, 2, 2), 4);
            if (options.isLocal) assert.deepEqual(await processesGone([pid, subprocess], 2000), []);
          },
        );
      }
      itIfProcess(
        "shutdown flushes the last unterminated line and does not wait for a daemon that holds stdout",
        async () => {
          const short = await options.connect(router);
          const daemon = await short.call(remote.startDaemon);
          await short.call(remote.printUnterminated, "no newline");
          const started = Date.now();
          await short.shutdown();
          assert.ok(Date.now() - started < 8_000);
          assert.equal(logs.lines("stdout", short.name).pop(), "no newline");
          if (options.isLocal) {
            assert.deepEqual(await processesGone([daemon], 0), [daemon], "a daemon is meant to stay");
            process.kill(daemon, "SIGKILL");
          }
        },
      );
      itIfProcess("shutdown of a context that handles SIGTERM ends it all the same", { skip }, async () => {
        const stubborn = await options.connect(router);
        const pid = await stubborn.call(remote.pid);
        await stubborn.call(remote.ignoreSigterm);
        await stubborn.shutdown();
        if (options.isLocal) assert.deepEqual(await processesGone([pid], 3000), []);
      });
    });

    it("messages over maxMessageBytes fail, as argument and as value, and nothing else does", async () => {
      await using small = new Router(undefined, { maxMessageBytes: 100_000 });
      const child = await options.connect(small);
      assert.equal(((await child.call(remote.echo, Buffer.alloc(90_000))) as Buffer).length, 90_000);
      await assert.rejects(child.call(remote.echo, Buffer.alloc(100_001)), /maxMessageBytes 100000/);
      await assert.rejects(
        child.call(Buffer.alloc as (n: number) => Buffer, 100_001),
        /maxMessageBytes 100000/,
      );
      assert.equal(await child.call(remote.add, 1, 1), 2);
    });
  });
}

async function rejection(promise: Promise<unknown>): Promise<Error> {
  try {
    await promise;
  } catch (error) {
    return error as Error;
  }
  throw new assert.AssertionError({ message: "it did not reject" });
}
