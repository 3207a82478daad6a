import assert from "node:assert/strict";
import { promises, readdirSync } from "node:fs";
import { after, before, describe, it } from "node:test";
import { ChannelError, type Context, Receiver, Router, type Sender } from "../../src/index.ts";
import * as remote from "../fixtures/remote/streams.ts";
import { targetsOf } from "../support/extent.ts";
import { nodes } from "../support/lab.ts";
import { checkLeaks, processesGone } from "../support/leak-check.ts";

checkLeaks({ ignoreCommand: /esbuild/ });

async function collect<T>(values: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const value of values) all.push(value);
  return all;
}

/** A Sender for a generator's word that it has ended, and a function that waits for it. */
function ending(router: Router) {
  const receiver = new Receiver<string>(router);
  const wait = async (): Promise<void> => {
    assert.equal((await receiver.get({ timeoutMs: 60_000 })).decode(), "ended");
    receiver.close();
  };
  return { sender: receiver.toSender(), wait };
}

const targets = targetsOf([12, 20, 26]).filter((major) => nodes[major] !== undefined);

for (const major of targets.length > 0 ? targets : [0]) {
  const where = major === 0 ? "this Node" : `Node ${major}`;
  describe(`Context.stream from ${where}, behind a hop`, () => {
    let router: Router;
    let context: Context;
    before(async () => {
      router = new Router();
      const via = await router.local();
      context = await router.local({ via, ...(major > 0 && { nodePath: nodes[major] as string }) });
    });
    after(() => router.shutdown());

    it("yields the values of generators, async generators and iterables", async () => {
      assert.deepEqual(await collect(context.stream(remote.count, 3)), [0, 1, 2]);
      assert.deepEqual(await collect(context.stream(remote.countSlowly, 3)), [0, 1, 2]);
      assert.deepEqual(await collect(context.stream(remote.list)), ["a", "b"]);
      assert.deepEqual(await collect(context.stream(remote.promises)), ["kept"]);
      assert.equal((await collect(context.stream(remote.count, 5000))).length, 5000);
    });

    it("ends the generator when the reader leaves it", async () => {
      const { sender, wait } = ending(router);
      for await (const value of context.stream(remote.endless, sender)) {
        assert.equal(value.length, 64 * 1024);
        break;
      }
      await wait();
    });

    it("ends a generator that waits with its signal", async () => {
      const { sender, wait } = ending(router);
      for await (const value of context.stream(remote.waiting, sender)) {
        assert.equal(value, "first");
        break;
      }
      await wait();
    });

    const quiet: readonly ((ended: Sender<unknown>) => AsyncIterable<unknown>)[] = [
      remote.quietLog,
      remote.quietOutput,
      remote.nodeStream,
    ];
    for (const generator of quiet) {
      const { name } = generator;
      it(`ends ${name}, which waits without a signal`, async () => {
        const told = new Receiver<unknown>(router);
        const values: string[] = [];
        for await (const value of context.stream(generator, told.toSender())) {
          values.push(String(value).trim());
          break;
        }
        assert.deepEqual(values, ["first"]);
        const next = async () => (await told.get({ timeoutMs: 60_000 })).decode();
        if (name === "quietOutput") assert.equal(await next(), "StreamLeft");
        const pid = (await next()) as number;
        assert.deepEqual(await processesGone([pid], 60_000), []);
        told.close();
      });
    }

    it("does not disturb streams that no reader has left", async () => {
      assert.equal(await context.call(remote.readsInPeace), "abc");
      assert.deepEqual(await collect(context.stream(remote.peaceful)), ["abc", "abc"]);
    });

    it("provides currentCall() in listeners of its signal", async () => {
      const told = new Receiver<string>(router);
      for await (const _ of context.stream(remote.listening, told.toSender())) break;
      assert.equal((await told.get({ timeoutMs: 60_000 })).decode(), "the call");
      told.close();
    });

    it("is named after the program's function in errors, descriptions and stacks", async () => {
      const bad = context.stream(remote.count, { a: [() => 1] } as never);
      await assert.rejects(
        collect(bad),
        /^TypeError: Cannot send argument 0\.a\[0\]: a function without a name/,
      );
      const { sender, wait } = ending(router);
      const values = context.stream(remote.waiting, sender);
      await values.next();
      assert.match(String(context.describe()), /waiting of file:\/\/.*streams\.js, for/);
      assert.doesNotMatch(String(context.describe()), /runStream/);
      await values.return?.();
      await wait();
      const failing = async () => {
        for await (const _ of context.stream(remote.failing));
      };
      await assert.rejects(failing(), ({ stack }: Error) => {
        assert.match(stack ?? "", /at failing .*streams\.js[\s\S]*at \[.*\]\n +at failing .*stream\.test/);
        assert.doesNotMatch(stack ?? "", /runStream|run-stream/);
        return true;
      });
    });

    it("runs functions of Node", async () => {
      const names: string[] = [];
      for await (const { name } of context.stream(promises.opendir, "/")) names.push(name);
      assert.deepEqual(names.sort(), readdirSync("/").sort());
    });

    it("throws what the generator throws, after its values", async () => {
      const seen: number[] = [];
      const reading = (async () => {
        for await (const value of context.stream(remote.failing)) seen.push(value);
      })();
      await assert.rejects(reading, { name: "CallError", message: "RangeError: no more" });
      assert.deepEqual(seen, [1]);
    });

    it("runs in its turn on a chain, which fails if the generator throws, but not if the reader leaves", async () => {
      await using chain = context.chain();
      for (const generator of [remote.endless, remote.waiting]) {
        const { sender, wait } = ending(router);
        for await (const _ of chain.stream<[typeof sender], unknown>(generator, sender)) break;
        assert.deepEqual(await chain.call(remote.list), ["a", "b"]);
        await wait();
      }
      await assert.rejects(collect(chain.stream(remote.failing)), /RangeError: no more/);
      await assert.rejects(collect(chain.stream(remote.count, 1)), /RangeError: no more/);
      await assert.rejects(chain.call(remote.list), /RangeError: no more/);
    });

    it("throws for a value that cannot be sent, and for a result that is not iterable", async () => {
      await assert.rejects(
        collect(context.stream(remote.unsendable)),
        /Cannot send value: a function without a name/,
      );
      await assert.rejects(collect(context.stream(remote.notIterable as never)), /Cannot stream notIterable/);
      assert.throws(() => context.stream((() => []) as never), TypeError);
    });

    it("ends at the reader's timeout and signal", async () => {
      const { sender, wait } = ending(router);
      const bounded = context.with({ timeoutMs: 300 }).stream(remote.waiting, sender);
      await assert.rejects(collect(bounded), { name: "TimeoutError" });
      await wait();
      const signal = AbortSignal.abort(new Error("not any more"));
      await assert.rejects(collect(context.with({ signal }).stream(remote.count, 3)), /not any more/);
    });

    it("ends what a function returns after its call was given up", async () => {
      const [begun, ended] = [ending(router), ending(router)];
      const controller = new AbortController();
      const stream = context
        .with({ signal: controller.signal })
        .stream(remote.late, begun.sender, ended.sender);
      const first = stream.next();
      await begun.wait();
      controller.abort(new Error("too late"));
      await assert.rejects(first, /too late/);
      await ended.wait();
    });

    it("rejects when the context ends", async () => {
      const other = await router.local({ via: context });
      await assert.rejects(collect(other.stream(remote.dying)), ChannelError);
    });
  });
}
