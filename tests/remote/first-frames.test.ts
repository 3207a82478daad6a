/** What a context does with frames that arrive before its broker thread runs. */
import assert from "node:assert/strict";
import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { once } from "node:events";
import os from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { MessageChannel } from "node:worker_threads";
import { bootWords, guardLine } from "../../src/bootstrap/command.ts";
import { configFrame } from "../../src/bootstrap/config-frame.ts";
import { payloadBytes } from "../../src/bootstrap/payload.ts";
import { ChannelError, type ConnectDetails, type Context, EofError, Router } from "../../src/index.ts";
import { newThreadState, Word } from "../../src/links/thread-state.ts";
import { startBrokerThread } from "../../src/remote/main-thread.ts";
import { decodeValue } from "../../src/wire/cbor/decoder.ts";
import { encodeValue } from "../../src/wire/cbor/encoder.ts";
import { Encoding, encodeFrame, type Frame, joinBody } from "../../src/wire/frame.ts";
import { FrameDecoder } from "../../src/wire/frame-decoder.ts";
import { Handle } from "../../src/wire/handles.ts";
import * as remote from "../fixtures/remote/functions.ts";
import { collectLogs } from "../support/collect-logs.ts";
import { sampleOf, takesLong } from "../support/extent.ts";
import { nodes, repoRoot } from "../support/lab.ts";
import { checkLeaks, processesGone } from "../support/leak-check.ts";

checkLeaks({ ignoreCommand: /esbuild/ });

const fixture = join(repoRoot, "tests/fixtures/broker-thread.cjs");
const withWorker = (kind: string, node: string = process.execPath): string[] => [
  ...["env", `WORKER=${kind}`, node, "-r", fixture],
];
const failureOf = (promise: Promise<unknown>): Promise<Error & { details: ConnectDetails }> =>
  promise.then(
    () => assert.fail("it did not reject"),
    (error) => error,
  );

describe("the first call of a context", () => {
  it("is answered before the broker thread runs", async () => {
    await using router = new Router();
    const functions: (() => string | number)[] = [remote.pid, os.hostname];
    for (const fn of sampleOf(2, functions)) {
      const context = await router.local({ nodePath: withWorker("never") });
      assert.ok(await context.call(fn));
      await router.disconnect(context);
    }
  });

  it("may print little, or more than a pipe holds, and its lines arrive before its value", async () => {
    await using router = new Router();
    const logs = collectLogs("info");
    const many = Array.from({ length: 20_000 }, (_, i) => `line ${i}`);
    for (const lines of sampleOf(2, [many, ["one", "two"]])) {
      const context = await router.local();
      await context.call(remote.print, ...lines);
      assert.deepEqual(logs.lines("stdout", context.name), lines);
    }
    logs.stop();
  });

  it("may hang: its output arrives, pings are answered, and the context ends when it is asked to", async () => {
    await using router = new Router();
    const logs = collectLogs("info");
    for (const hang of sampleOf(2, [remote.hangInSubprocess, remote.hang])) {
      const context = await router.local();
      const failure = failureOf(context.call(hang));
      assert.ok((await context.ping()) > 0);
      await context.shutdown();
      assert.ok((await failure) instanceof ChannelError);
    }
    const context = await router.local();
    const failure = failureOf(context.call(remote.printAndHang, "before"));
    await logs.until(() => logs.lines("stdout", context.name).includes("before"));
    await context.shutdown();
    await failure;
    logs.stop();
  });

  it("may end the process: the caller learns how, and gets the last output", {
    skip: takesLong,
  }, async () => {
    await using router = new Router();
    const context = await router.local();
    const { message } = await failureOf(context.call(remote.exitWith, 3, "last words"));
    assert.match(message, /the process exited with code 3; last output:\nlast words/);
  });

  it("may end the process: its last output passes a tool that ends with the process and loses what it still holds", async () => {
    await using router = new Router();
    const relay = join(repoRoot, "tests", "support", "hasty-relay.mjs");
    const options = { command: [process.execPath, relay], nodePath: process.execPath };
    for (const isBehind of sampleOf(2, [false, true])) {
      const via = isBehind ? await router.exec(options) : undefined;
      const context = await router.exec({ ...options, via });
      const answered = context.call(remote.add, 1, 2);
      const { message } = await failureOf(context.call(remote.exitWith, 3, "last words"));
      assert.match(message, /the process exited with code 3; last output:\nlast words/);
      assert.equal(await answered, 3);
    }
  });

  it("is in order with later calls, and with their modules", async () => {
    await using router = new Router();
    const context = await router.local();
    const first = context.call(remote.begin, "first");
    const second = context.call(remote.add, 1, 2);
    const third = context.call(os.hostname);
    assert.deepEqual([await second, await third], [3, os.hostname()]);
    await context.call(remote.release);
    assert.deepEqual(await first, ["start first", "end first"]);
  });

  it("that changes the directory waits until the broker thread runs, which could not start in a deleted one", async () => {
    const { chdir } = process;
    const words = newThreadState();
    const { port1, port2 } = new MessageChannel();
    // In place of a payload: a script that takes its time to report that it runs.
    const source = `(() => {
      const { words } = require("worker_threads").workerData;
      Atomics.wait(words, 0, 0, 300);
      Atomics.store(words, ${Word.RUNS}, 1);
      Atomics.notify(words, ${Word.RUNS});
    })`;
    const data = { words, nonce: "", source, payload: new Uint8Array(), port: port2 };
    const worker = startBrokerThread(data, [port2]);
    // Libraries that follow the working directory do this.
    const waiting = process.chdir;
    const following = (directory: string): void => waiting(directory);
    process.chdir = following;
    process.chdir(".");
    assert.equal(Atomics.load(words, Word.RUNS), 1);
    assert.equal(process.chdir, following);
    process.chdir = chdir;
    port1.close();
    await once(worker, "exit");
  });
});

describe("a broker thread", () => {
  let router: Router;
  let hop: Context;
  before(async () => {
    router = new Router();
    hop = await router.local();
  });
  after(() => router.shutdown());

  it("that cannot be started fails the connect with the reason", async () => {
    const error = await failureOf(router.local({ nodePath: withWorker("refused") }));
    assert.ok(error instanceof EofError);
    assert.match(error.message, /the limit on processes and threads is too low there/);
    assert.match(error.details.stderr, /the broker thread failed: Error: no thread left: EAGAIN/);
  });

  it("that fails later tells waiting callers, and ends the context", async () => {
    for (const via of sampleOf(2, [undefined, hop])) {
      const context = await router.local({ via, nodePath: withWorker("failing") });
      const error = await failureOf(context.call(remote.echoLater, 1, 1_000_000));
      assert.ok(error instanceof ChannelError);
      assert.match(error.message, /the broker thread failed: .*Error: out of luck/s);
      await context.disconnected;
    }
  });

  it("that fails within a frame tells waiting callers", async () => {
    const old = [nodes["12"], nodes["16"]].filter((node) => node !== undefined);
    const places: [node: string, via?: Context][] = [[process.execPath], [process.execPath, hop]];
    places.push(...old.map((node): [string] => [node]));
    const failures = [
      ["cutting", /the broker thread failed: .*Error: out of luck/s],
      ["starving", /the broker thread failed, probably for lack of memory/],
    ] as const;
    const cases = places.flatMap((place) => failures.map((failure) => [...failure, ...place] as const));
    for (const [kind, reason, node, via] of sampleOf(3, cases)) {
      const context = await router.local({ via, nodePath: withWorker(kind, node) });
      assert.equal(await context.call(remote.add, 1, 2), 3);
      const error = await failureOf(context.call(remote.echo, new Uint8Array(200_000)));
      assert.ok(error instanceof ChannelError);
      assert.match(error.message, reason);
      await context.disconnected;
    }
  });
});

const NONCE = "0123456789abcdef";
const CONTEXT_ID = 5;

const toChild = (handle: number, replyTo: number, value: unknown): Frame => {
  return {
    encoding: Encoding.CBOR,
    dstId: CONTEXT_ID,
    srcId: 0,
    authId: 0,
    handle,
    replyTo,
    body: encodeValue(value),
  };
};
const bytesOf = (...frames: Frame[]): Buffer => Buffer.concat(frames.flatMap((frame) => encodeFrame(frame)));

const CONFIG = bytesOf(
  configFrame({
    contextId: CONTEXT_ID,
    parentIds: [0],
    remoteName: "bare",
    logLevel: 0,
    maxMessageBytes: 1024 * 1024,
    unidirectional: false,
    keepaliveMs: 15_000,
  }),
);
const call = (replyTo: number, path: string[], ...args: unknown[]): Buffer =>
  bytesOf(toChild(Handle.CALL_FUNCTION, replyTo, [null, "node:os", path, args, false]));
const PING = bytesOf({ ...toChild(Handle.PING, 1001, null), encoding: Encoding.RAW, body: [] });
const HOSTNAME = call(1000, ["hostname"]);
const TYPE = call(1002, ["type"]);

/** A child whose parent is the test, byte by byte. */
class BareChild {
  readonly process: ChildProcessWithoutNullStreams;
  readonly answers: Map<number, unknown> = new Map();
  readonly ready: Promise<void>;
  #wake: () => void = () => undefined;

  constructor(node: string) {
    const [command, ...args] = bootWords(NONCE, payloadBytes().length, [node]) as [string, ...string[]];
    this.process = spawn(command, args);
    this.process.stdin.on("error", () => undefined);
    const decoder = new FrameDecoder(1024 * 1024);
    let head: Buffer | undefined = Buffer.alloc(0);
    this.ready = new Promise((resolve) => {
      this.process.stdout.on("data", (chunk: Buffer) => {
        let frames = chunk;
        if (head !== undefined) {
          head = Buffer.concat([head, chunk]);
          const end = new RegExp(`\\n${NONCE}:ready .*\\n`).exec(head.toString("latin1"));
          if (end === null) return;
          frames = head.subarray(end.index + end[0].length);
          head = undefined;
          resolve();
        }
        decoder.push(frames, (frame) => {
          const { length } = joinBody(frame);
          this.answers.set(frame.handle, length === 0 ? "" : decodeValue(joinBody(frame)));
        });
        this.#wake();
      });
    });
    this.process.stdin.write(guardLine(NONCE));
    this.process.stdin.write(payloadBytes());
  }

  async answered(handle: number): Promise<unknown> {
    while (!this.answers.has(handle)) await new Promise<void>((resolve) => (this.#wake = resolve));
    return this.answers.get(handle);
  }
}

const majors: [name: string, node: string][] = [["this", process.execPath]];
for (const major of [12, 16, 24] as const) {
  const path = nodes[major];
  if (path !== undefined) majors.push([String(major), path]);
}

for (const [name, node] of majors) {
  describe(`a context of Node ${name}`, () => {
    it("takes its first frames wherever they are cut when the broker thread begins to read", async () => {
      const all = Buffer.concat([CONFIG, HOSTNAME, PING, TYPE]);
      const at = CONFIG.length;
      const cuts = [1, 30, at - 1, at, at + 1, at + 26, at + 40, at + HOSTNAME.length, all.length - 1];
      await Promise.all(
        sampleOf(5, cuts).map(async (cut) => {
          const child = new BareChild(node);
          await child.ready;
          child.process.stdin.write(all.subarray(0, cut));
          // The thread is not waited for in vain: whether it runs by then or not, all must arrive.
          await pause(cut % 2 === 0 ? 1500 : 0);
          child.process.stdin.write(all.subarray(cut));
          assert.equal(await child.answered(1000), os.hostname(), `cut at ${cut}`);
          assert.equal(await child.answered(1001), "", `cut at ${cut}`);
          assert.equal(await child.answered(1002), os.type(), `cut at ${cut}`);
          child.process.stdin.end();
          await once(child.process, "close");
        }),
      );
    });

    it("ends when its parent is lost, at whatever point, and whatever it does", async () => {
      const hang = bytesOf(
        toChild(Handle.CALL_FUNCTION, 1000, [
          null,
          "node:child_process",
          ["execFileSync"],
          ["sleep", ["600"]],
        ]),
      );
      const points = [
        Buffer.alloc(0),
        CONFIG.subarray(0, 10),
        CONFIG.subarray(0, -1),
        CONFIG,
        Buffer.concat([CONFIG, HOSTNAME.subarray(0, -1)]),
        Buffer.concat([CONFIG, HOSTNAME]),
        Buffer.concat([CONFIG, hang]),
        Buffer.concat([CONFIG, hang, PING]),
      ];
      const cases = points.flatMap((bytes) => [[bytes, 0] as const, [bytes, 1500] as const]);
      await Promise.all(
        sampleOf(7, cases).map(async ([bytes, ms]) => {
          const child = new BareChild(node);
          await child.ready;
          child.process.stdin.write(bytes);
          await pause(ms);
          child.process.stdin.destroy();
          await once(child.process, "close");
          assert.deepEqual(await processesGone([child.process.pid as number], 15_000), []);
        }),
      );
    });
  });
}
