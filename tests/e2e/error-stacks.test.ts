/** The stack of every error shows the program's line that waited, and no internal lines of this library. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath, pathToFileURL } from "node:url";
import {
  type Context,
  connect,
  type MitogenError,
  Receiver,
  Router,
  ref,
  Select,
  Sender,
} from "../../src/index.ts";
import * as remote from "../fixtures/remote/functions.ts";
import * as streams from "../fixtures/remote/streams.ts";
import { takesLong } from "../support/extent.ts";
import { repoRoot } from "../support/lab.ts";
import { checkLeaks } from "../support/leak-check.ts";

checkLeaks({ ignoreCommand: /esbuild/ });

const TASKS = new URL("../fixtures/remote/functions.js", import.meta.url);
/** The library's own files. */
const OURS = fileURLToPath(new URL("../../src/", import.meta.url));

describe("the stack of", () => {
  let router: Router;
  let context: Context;
  /** A context that has ended. */
  let past: Context;
  before(async () => {
    router = new Router();
    context = await router.local();
    past = await router.local();
    await past.shutdown();
  });
  after(() => router.shutdown());

  /** Kills a context while `wait` waits for it. */
  async function killed(wait: (victim: Context) => Promise<unknown>): Promise<unknown> {
    const victim = await router.local();
    const pid = await victim.call(remote.pid);
    const waiting = wait(victim);
    process.kill(pid, "SIGKILL");
    return waiting;
  }

  const cases: [title: string, code: string, wait: () => Promise<unknown>][] = [
    ["a connect", "ERR_NO_NODE", async () => await router.local({ nodePath: "/no/such/node" })],
    [
      "a connect behind a hop",
      "ERR_NO_NODE",
      async () => await router.local({ nodePath: "/no/such/node", via: context }),
    ],
    [
      "a connect that times out",
      "ERR_TIMEOUT",
      async () => await router.local({ nodePath: ["sh", "-c", "sleep 60"], timeoutMs: 50 }),
    ],
    [
      "a connect with a missing tool",
      "ERR_STREAM",
      async () => await router.ssh({ hostname: "h", sshPath: "/no/such/ssh" }),
    ],
    [
      "a connect with a bad option",
      "ERR_OUT_OF_RANGE",
      async () => await router.ssh({ hostname: "h", port: 0 }),
    ],
    [
      "a connect of a router that is shut down",
      "ERR_CANCELLED",
      async () => {
        const closed = new Router();
        await closed.shutdown();
        await closed.local();
      },
    ],
    ["a call to a context that is gone", "ERR_CHANNEL", async () => await past.call(remote.pid)],
    [
      "a call whose context goes",
      "ERR_CHANNEL",
      async () => await killed(async (victim) => await victim.call(remote.echoLater, 1, 60_000)),
    ],
    [
      "a call that times out",
      "ERR_TIMEOUT",
      async () => await context.with({ timeoutMs: 20 }).call(remote.echoLater, 1, 5000),
    ],
    [
      "a call in a burst",
      "ERR_TIMEOUT",
      async () => {
        const calls = Array.from({ length: 40 }, () =>
          context.with({ timeoutMs: 50 }).call(remote.echoLater, 1, 5000),
        );
        await Promise.allSettled(calls.slice(0, -1));
        await calls.at(-1);
      },
    ],
    [
      "callAsync and get",
      "ERR_TIMEOUT",
      async () => await context.callAsync(remote.echoLater, 1, 5000).get({ timeoutMs: 20 }),
    ],
    [
      "get whose context goes",
      "ERR_CHANNEL",
      async () => await killed(async (victim) => await victim.callAsync(remote.echoLater, 1, 60_000).get()),
    ],
    [
      "get of a closed receiver",
      "ERR_CHANNEL",
      async () => {
        const receiver = new Receiver(router);
        receiver.close();
        await receiver.get();
      },
    ],
    [
      "get of a Select",
      "ERR_TIMEOUT",
      async () => await new Select([new Receiver(router)]).get({ timeoutMs: 20 }),
    ],
    ["getEvent of a Select", "ERR_SELECT", async () => await new Select().getEvent()],
    [
      "a stream",
      "ERR_CHANNEL",
      async () => {
        for await (const _ of past.stream(streams.count, 3)) assert.fail("a value");
      },
    ],
    [
      "send",
      "ERR_CHANNEL",
      async () => {
        // Nothing listens at this handle.
        const sender = new Sender<Uint8Array>(router, context.contextId, 123_456);
        for (;;) await sender.send(new Uint8Array(1 << 20));
      },
    ],
    ["ping", "ERR_CHANNEL", async () => await past.ping()],
    ["import", "ERR_CHANNEL", async () => await past.import(TASKS)],
    ["a service call", "ERR_CHANNEL", async () => await past.callService("x", "y")],
    ["connect to a socket", "ERR_STREAM", async () => await connect("/no/such/socket")],
  ];
  for (const [title, code, wait] of cases) {
    it(`${title} shows the line that waited`, async () => {
      let error: MitogenError | undefined;
      try {
        await theProgram(wait);
      } catch (reason) {
        error = reason as MitogenError;
      }
      assert.equal(error?.code, code, String(error?.stack));
      const stack = error?.stack ?? "";
      assert.ok(stack.startsWith(`${error?.name}`), stack);
      assert.ok(stack.includes(error?.message ?? "?"), stack);
      assert.match(stack, /\n {4}at .*error-stacks\.test\.[jt]s/, stack);
      assert.match(stack, /theProgram/, stack);
      assert.ok(!stack.includes(OURS), stack);
    });
  }
});

describe("the stack of a CallError", () => {
  let router: Router;
  let context: Context;
  before(async () => {
    router = new Router();
    context = await router.local();
  });
  after(() => router.shutdown());

  const cases: [title: string, wait: () => Promise<unknown>, skip?: string | false][] = [
    ["of a stream", async () => await readAll(context.stream(streams.failing))],
    [
      "of a bound stream",
      async () => await readAll(context.with({ timeoutMs: 60_000 }).stream(streams.failing)),
    ],
    ["of a stream of a chain", async () => await readAll(context.chain().stream(streams.failing))],
    [
      "of a kept context that is connected for a stream",
      async () => {
        await using kept = router.keep(() => router.local());
        await readAll(kept.stream(streams.failing));
      },
    ],
    [
      "of a kept context that is connected",
      async () => {
        await using kept = router.keep(() => router.local());
        await kept.ready();
        await readAll(kept.stream(streams.failing));
      },
      takesLong,
    ],
    [
      "of a kept context that is connected for a call",
      async () => {
        await using kept = router.keep(() => router.local());
        await kept.call(remote.fail, "no more");
      },
    ],
  ];
  for (const [title, wait, skip = false] of cases) {
    it(`${title} shows the remote lines, the context and the line that waited`, { skip }, async () => {
      const error = await theProgram(wait).then(
        () => assert.fail("it did not fail"),
        (reason) => reason as Error,
      );
      const [above = "", below = ""] = (error.stack ?? "").split(/\n {4}at \[.*\]\n/);
      assert.match(above, /no more[\s\S]*fixtures.remote.(streams|functions)\./, error.stack);
      assert.match(below, /error-stacks\.test\.[jt]s/, error.stack);
      assert.match(below, /theProgram/, error.stack);
    });
  }

  it("of a stream that another function reads shows where it was made and where it was read, and no line twice", async () => {
    const made = makeStream(context);
    const error = await theProgram(() => readAll(made)).then(
      () => assert.fail("it did not fail"),
      (reason) => reason as Error,
    );
    const lines = (error.stack ?? "").split("\n");
    assert.ok(
      lines.some((line) => line.includes("makeStream")),
      error.stack,
    );
    assert.ok(
      lines.some((line) => line.includes("readAll")),
      error.stack,
    );
    assert.ok(
      lines.some((line) => line.includes("theProgram")),
      error.stack,
    );
    assert.equal(new Set(lines).size, lines.length, error.stack);
    assert.ok(!(error.stack ?? "").includes(OURS), error.stack);
  });

  for (const name of ["syntax.mjs", "syntax.cjs", "above-syntax.mjs", "above-syntax.mjs"]) {
    it(`of a module with a syntax error names the file, and so does the message: ${name}`, async () => {
      const module = pathToFileURL(join(repoRoot, "tests/fixtures/semantics/syntax-errors", name));
      const error = await context.call(ref<() => void>(module, "f")).then(
        () => assert.fail("it did not fail"),
        (reason) => reason as Error,
      );
      const place = /^CallError: (.*\/syntax\.(?:mjs|cjs:1))\n/.exec(error.stack ?? "")?.[1];
      const shown = /^SyntaxError: Unexpected token '(?:=|const)' \((.*)\)$/.exec(error.message)?.[1];
      assert.equal(shown, place, error.stack);
      assert.match(error.stack ?? "", /\nSyntaxError: Unexpected token/);
    });
  }
});

function makeStream(context: Context): AsyncIterable<unknown> {
  return context.stream(streams.failing);
}

async function readAll(values: AsyncIterable<unknown>): Promise<void> {
  for await (const _ of values);
}

/** Waits through a function of its own, as a program does. */
async function theProgram(wait: () => Promise<unknown>): Promise<void> {
  await sleep(1);
  await wait();
}
