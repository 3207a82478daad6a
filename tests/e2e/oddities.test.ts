/** Functions that throw or return odd values: their callers get an error, and other calls are not affected. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import {
  CallError,
  ChannelError,
  type Context,
  connect,
  listen,
  Receiver,
  Router,
  StreamError,
} from "../../src/index.ts";
import * as remote from "../fixtures/remote/functions.ts";
import * as odd from "../fixtures/remote/oddities.ts";
import { collectLogs } from "../support/collect-logs.ts";
import { sampleOf } from "../support/extent.ts";
import { nodes } from "../support/lab.ts";
import { checkLeaks } from "../support/leak-check.ts";

checkLeaks({ ignoreCommand: /esbuild/ });

const NAMES = Object.keys(odd.thrown);
const folder = mkdtempSync(join(tmpdir(), "mitogen-odd-"));
after(() => rmSync(folder, { recursive: true }));

const onNode = (major: number) => (nodes[major] === undefined ? {} : { nodePath: nodes[major] as string });

async function failureOf(promise: Promise<unknown>): Promise<Error> {
  return await promise.then(
    () => assert.fail("it did not fail"),
    (error) => error as Error,
  );
}

/** Has functions fail in one context in every way. */
async function checkThrown(context: Context, { hasServices = true, names = NAMES } = {}): Promise<void> {
  for (const name of names) {
    for (const fn of [odd.throwIt, odd.rejectWithIt]) {
      const error = await failureOf(context.call(fn, name));
      assert.ok(error instanceof CallError, `${name}: ${error}`);
      assert.equal(typeof error.stack, "string", name);
    }
    // Calls before and after it are not affected.
    const others = [context.call(remote.add, 1, 1)];
    const logs = collectLogs("error");
    context.callNoReply(odd.throwIt, name);
    others.push(context.call(remote.add, 1, 1));
    assert.deepEqual(await Promise.all(others), [2, 2], name);
    logs.stop();
    const lines = logs.records.map((record) => record.message);
    assert.equal(lines.length, 1, `${name}: ${lines.join("\n")}`);
    assert.match(lines[0] as string, /Call of throwIt of \S+ failed: /, name);

    await using chain = context.chain();
    chain.callNoReply(odd.throwIt, name);
    assert.ok((await failureOf(chain.call(remote.add, 1, 1))) instanceof CallError, name);
    chain.reset();
    assert.equal(await chain.call(remote.add, 1, 1), 2);

    const values: number[] = [];
    const reading = (async () => {
      for await (const value of context.stream(odd.yieldThenThrow, name)) values.push(value);
    })();
    assert.ok((await failureOf(reading)) instanceof CallError, name);
    assert.deepEqual(values, [1]);
    for await (const value of context.stream(odd.throwWhenLeft, name)) {
      assert.equal(value, 0);
      break;
    }
    if (hasServices) {
      assert.ok((await failureOf(context.callService(odd.Odd, "fail", { name }))) instanceof CallError, name);
    }
  }
  for (const name of Object.keys(odd.returned)) {
    const error = await failureOf(context.call(odd.returnIt, name));
    assert.ok(error instanceof CallError, `${name}: ${error}`);
  }
  if (hasServices) {
    const refusal = await failureOf(context.callService(odd.Odd, "undecided"));
    assert.match(refusal.message, /no such method|refused by policy|not exposed/);
  }
  assert.equal(await context.call(remote.add, 1, 1), 2);
}

describe("whatever a function throws is an error for its caller and does not affect others:", () => {
  let router: Router;
  before(() => {
    router = new Router();
  });
  after(() => router.shutdown());

  for (const major of [12, 16, 20, 26].filter((each) => nodes[each] !== undefined || each === 20)) {
    it(`in a context on Node ${major}`, async () => {
      await checkThrown(await router.local(onNode(major)));
    });
  }

  it("in a thread", async () => {
    await checkThrown(await router.thread(), { names: [...sampleOf(3, NAMES)] });
  });

  it("in this program, called by a program that has connected", async () => {
    await using _listener = listen(router, { path: join(folder, "s") });
    const client = await connect(join(folder, "s"));
    const logs = collectLogs("error");
    for (const name of NAMES) {
      for (const fn of [odd.throwIt, odd.rejectWithIt]) {
        assert.ok((await failureOf(client.context.call(fn, name))) instanceof CallError, name);
      }
      logs.records.length = 0;
      client.context.callNoReply(odd.throwIt, name);
      assert.equal(await client.context.call(remote.add, 1, 1), 2);
      assert.equal(logs.records.length, 1, name);
    }
    logs.stop();
    await client.router.shutdown();
  });

  it("by a password function, for a connect here and behind a hop", async () => {
    const sudoPath = join(folder, "sudo");
    const asking = 'while [ $# -gt 0 ]; do [ "$1" != -p ] || printf %s "$2" >&2; shift; done; exec sleep 600';
    writeFileSync(sudoPath, `#!/bin/sh\n${asking}\n`, { mode: 0o755 });
    const hop = await router.local();
    for (const via of [undefined, hop]) {
      // All at once, because the tool has to be ended each time, which takes a while.
      const failures = sampleOf(3, NAMES).map(async (name) => {
        const password = (): never => odd.throwIt(name);
        const error = await failureOf(router.sudo({ via, sudoPath, password, timeoutMs: 60_000 }));
        assert.ok(error instanceof StreamError, name);
        assert.match(error.message, /the password was not given/, name);
      });
      const none = (): string => undefined as unknown as string;
      failures.push(
        failureOf(router.sudo({ via, sudoPath, password: none })).then((error) =>
          assert.match(error.message, /the password was not given/),
        ),
      );
      await Promise.all(failures);
    }
    assert.equal(await hop.call(remote.add, 1, 1), 2);
  });

  it("when nobody catches it, in a process and in a thread", async () => {
    const names = ["an error whose name is a symbol", "null", "an object whose string is none"];
    for (const name of sampleOf(3, names)) {
      for (const context of [await router.local(), await router.thread()]) {
        const error = await failureOf(context.call(odd.throwUncaught, name));
        assert.ok(error instanceof ChannelError, name);
        assert.match(error.message, /uncaught exception: /, `${name} in ${context.name}`);
      }
    }
  });

  it("as the reason for giving up a call", async () => {
    const context = await router.local();
    const told = new Receiver<string>(router);
    for (const name of NAMES) {
      const end = new AbortController();
      const reason = odd.thrown[name]?.();
      const { call, callAsync } = context.with({ signal: end.signal });
      const waits = [
        call(odd.waitForAbort, told.toSender()),
        callAsync(odd.waitForAbort, told.toSender()).get(),
      ];
      // When this is answered, both calls run.
      await context.call(remote.add, 1, 1);
      end.abort(reason);
      for (const wait of waits) {
        const error = await wait.then(
          () => assert.fail("it did not end"),
          (each: unknown) => [each],
        );
        // The error is the reason itself. Without a reason Node makes one.
        if (reason !== undefined) assert.ok(Object.is(error[0], reason), name);
      }
      for (const _ of waits) assert.equal((await told.get({ timeoutMs: 60_000 })).decode(), "an error", name);
    }
    told.close();
  });
});
