/** Attacks of a compromised context on others, over real links. */
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Writable } from "node:stream";
import { after, before, describe, it } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { type Context, getFile, putFile, Receiver, Router, TimeoutError } from "../../src/index.ts";
import { Handle } from "../../src/wire/handles.ts";
import * as remote from "../fixtures/remote/functions.ts";
import { ask, forge, intrude, nameSender } from "../fixtures/remote/hostile.ts";
import * as streams from "../fixtures/remote/streams.ts";
import { reach } from "../fixtures/remote/waiting.ts";
import * as withMitogen from "../fixtures/remote/with-mitogen.ts";
import { collectLogs } from "../support/collect-logs.ts";
import { sampleOf, takesLong } from "../support/extent.ts";
import { checkLeaks } from "../support/leak-check.ts";

checkLeaks({ ignoreCommand: /esbuild/ });

const folder = mkdtempSync(join(tmpdir(), "mitogen-trust-"));
after(() => rmSync(folder, { recursive: true }));

/** The list of all handles at which the router listens from now on, until the next call. */
function handlesOf(router: Router): number[] {
  const handles: number[] = [];
  const { expect } = Object.getPrototypeOf(router) as Router;
  router.expect = (...given) => {
    const handle = Reflect.apply(expect, router, given) as number;
    handles.push(handle);
    return handle;
  };
  return handles;
}

/** A call that would write a file, and whether it has. */
function trap(name: string): { call: unknown; isSprung(): boolean } {
  const path = join(folder, name);
  return { call: [null, "node:fs", ["writeFileSync"], [path, ""]], isSprung: () => existsSync(path) };
}

/** The handles at which a context takes orders from those above it, with an order for each. */
function orders(target: Context, call: unknown): [handle: number, value: unknown][] {
  const identity = { contextId: 4711, remoteName: "x", logLevel: 3 };
  return [
    [Handle.CALL_FUNCTION, call],
    [Handle.SHUTDOWN, null],
    [Handle.LOAD_MODULE, [target.contextId, []]],
    [Handle.CONNECT_CHILD, ["exec", { command: ["touch", join(folder, "connected")] }, identity, 0]],
    [Handle.END_CHILD, [target.contextId]],
  ];
}

interface Tree {
  readonly router: Router;
  readonly outer: Context;
  readonly hop: Context;
  readonly sibling: Context;
  readonly inner: Context;
  readonly nephew: Context;
}

/**
 * The tree of all tests, because their attacks change nothing: `outer`, below it `hop` and `sibling`, and below each
 * of these one. Tests of lies start contexts of their own, because a lie on a short way ends the liar.
 */
async function grow(): Promise<Tree> {
  const router = new Router();
  const outer = await router.local({ name: "outer" });
  const hop = await router.local({ via: outer, name: "hop" });
  const sibling = await router.local({ via: outer, name: "sibling" });
  const inner = await router.local({ via: hop, name: "inner" });
  const nephew = await router.local({ via: sibling, name: "nephew" });
  return { router, outer, hop, sibling, inner, nephew };
}

describe("among the contexts of one program", () => {
  let tree: Tree;
  before(async () => {
    tree = await grow();
  });
  after(() => tree.router.shutdown());

  describe("a context takes orders only from those above it:", () => {
    const relations: [title: string, from: () => Context, to: () => Context][] = [
      ["not from a sibling", () => tree.hop, () => tree.sibling],
      ["not from its child", () => tree.inner, () => tree.hop],
      ["not from a cousin", () => tree.inner, () => tree.nephew],
    ];
    for (const [index, [title, fromOf, toOf]] of relations.entries()) {
      it(title, async () => {
        const [from, to] = [fromOf(), toOf()];
        const { call, isSprung } = trap(`order${index}`);
        for (const [handle, value] of orders(to, call)) {
          // A context without children has no handlers for these two.
          const isUnknown = handle >= Handle.CONNECT_CHILD && to === tree.nephew;
          assert.equal(
            await from.call(ask, to, handle, value),
            `ChannelError: Cannot deliver message to handle ${handle} of context ${to.contextId}: ${isUnknown ? "no such handle" : "refused by policy"}`,
          );
        }
        assert.equal(await to.call(remote.add, 1, 1), 2);
        assert.deepEqual([isSprung(), existsSync(join(folder, "connected"))], [false, false]);
      });
    }

    it("the program takes none", async () => {
      const { router, inner: child } = tree;
      const { call, isSprung } = trap("program");
      for (const [handle, value] of orders(router.myself(), call)) {
        const answer = await child.call(ask, router.myself(), handle, value);
        assert.equal(
          answer,
          `ChannelError: Cannot deliver message to handle ${handle} of context 0: no such handle`,
        );
      }
      assert.equal(isSprung(), false);
    });
  });

  describe("a context that lies about who it is", () => {
    it("reaches no one, and the lie is logged", async () => {
      const logs = collectLogs("error");
      const { router, nephew: victim } = tree;
      const liar = await router.local();
      const receiver = new Receiver(router);
      const { call, isSprung } = trap("liar");
      for (const claim of [
        { srcId: 0, authId: 0 },
        { authId: 0 },
        { srcId: victim.contextId, authId: victim.contextId },
        { srcId: victim.contextId },
      ]) {
        await liar.call(forge, { dstId: victim.contextId, handle: Handle.CALL_FUNCTION, ...claim }, call);
        await liar.call(forge, { dstId: 0, handle: receiver.handle, ...claim }, "forged");
      }
      // This request follows all the others.
      await liar.call(reach, victim);
      assert.equal(await victim.call(remote.add, 1, 1), 2);
      assert.deepEqual([receiver.size(), isSprung()], [0, false]);
      receiver.close();
      const dropped = logs.records.filter(({ message }) =>
        /^Dropped message from .*: bad (auth|src)Id/.test(message),
      );
      assert.equal(dropped.length, 8);
      logs.stop();
    });

    for (const depth of [1, 2]) {
      it(`cannot make its parent at level ${depth} route another context's id to it`, {
        skip: depth === 1 && takesLong,
      }, async () => {
        const logs = collectLogs("error");
        const { router, outer } = tree;
        const hop = depth === 1 ? outer : tree.hop;
        const liar = await router.local({ via: hop, name: "liar" });
        const sibling = depth === 1 ? await router.local() : tree.sibling;
        const opened = await hop.call(withMitogen.openReceiver);
        const { call, isSprung } = trap(`claim${depth}`);
        const claimed = depth === 1 ? [sibling] : [sibling, outer];
        for (const { contextId } of claimed) {
          await liar.call(forge, { dstId: hop.contextId, handle: Handle.ADD_ROUTE }, [contextId, "mine"]);
          const claim = { dstId: hop.contextId, srcId: contextId, authId: contextId };
          await liar.call(forge, { ...claim, handle: opened.handle }, "forged");
          await liar.call(forge, { ...claim, handle: Handle.CALL_FUNCTION }, call);
        }
        await liar.call(reach, hop);
        assert.deepEqual([await hop.call(withMitogen.readNow), isSprung()], [0, false]);
        // The contexts with these ids can still be reached.
        for (const context of claimed) await hop.call(reach, context);
        const refused = logs.records.filter(({ message }) =>
          /Refused route to context \d+ from liar/.test(message),
        );
        assert.equal(refused.length, claimed.length);
        logs.stop();
      });
    }
  });

  describe("ids for children", () => {
    it("are given to any context, and never twice", async () => {
      const { router, outer: child, hop: grandchild, nephew: latest } = tree;
      const blocks: [number, number][] = [];
      for (const context of [child, grandchild, child]) {
        blocks.push((await context.call(ask, router.myself(), Handle.ALLOCATE_ID, null)) as [number, number]);
      }
      let last = latest.contextId;
      for (const [start, end] of blocks) {
        assert.deepEqual([start > last, end - start], [true, 1000]);
        last = end - 1;
      }
      const [next, thread] = [await router.local(), await router.thread()];
      assert.ok(next.contextId > last);
      assert.match(
        String(await thread.call(ask, router.myself(), Handle.ALLOCATE_ID, null)),
        /a thread cannot have children$/,
      );
      await Promise.all([next.shutdown(), thread.shutdown()]);
    });
  });

  describe("a password", () => {
    it("is given only to the context whose tool asks for it, and not after its connect has ended", async () => {
      const { router, hop, sibling } = tree;
      const [sudoPath, sign] = [join(folder, "sudo"), join(folder, "started")];
      writeFileSync(sudoPath, `#!/bin/sh\n: > ${sign}\nexec sleep 600\n`, { mode: 0o755 });
      const handles = handlesOf(router);
      let asked = 0;
      const password = (): string => {
        asked += 1;
        return "secret";
      };
      const connect = router.sudo({ via: hop, sudoPath, password, timeoutMs: 4000 });
      let isOver = false;
      const failed = assert.rejects(connect, TimeoutError).finally(() => {
        isOver = true;
      });
      while (!existsSync(sign) && !isOver) await pause(10);
      // Among these handles is that of the password.
      await sibling.call(intrude, router.myself(), handles);
      await sibling.ping();
      assert.equal(asked, 0);
      await failed;
      await hop.call(intrude, router.myself(), handles);
      await hop.ping();
      assert.equal(asked, 0);
    });
  });

  describe("what serves one context accepts nothing from another that knows its handle:", () => {
    /** Has `sibling` send to all these handles, and returns how many messages were refused. */
    async function intrudeFrom(sibling: Context, handles: number[]): Promise<number> {
      const logs = collectLogs("error");
      await sibling.call(intrude, sibling.router.myself(), handles);
      const refused = logs.records.filter(({ message }) => /reply from unexpected context/.test(message));
      logs.stop();
      return refused.length;
    }

    const streaming = [
      ["a cousin of a thread", true],
      ["a sibling", false],
    ] as const;
    for (const [title, isThread] of sampleOf(2, streaming)) {
      it(`a stream, attacked by ${title}`, async () => {
        const { router } = tree;
        const honest = await (isThread ? router.thread() : router.local({ via: tree.outer }));
        const hostile = tree.sibling;
        const ended = new Receiver<string>(router);
        const handles = handlesOf(router);
        const values = honest.stream(streams.waiting, ended.toSender());
        assert.equal((await values.next()).value, "first");
        let next: unknown;
        const reading = values.next().then((result) => {
          next = result;
        });
        assert.ok((await intrudeFrom(hostile, handles)) >= 2 * 4, "the handles of the stream and its call");
        assert.equal(next, undefined);
        const failed = assert.rejects(reading, { name: "ChannelError" });
        await honest.shutdown();
        await failed;
        ended.close();
      });
    }

    it("files, both ways", async () => {
      const { router, hop: honest, sibling: hostile } = tree;
      const bytes = randomBytes(4 * 1024 * 1024);
      const handles = handlesOf(router);
      writeFileSync(join(folder, "there"), bytes);
      // The sink and the source wait for the attack, so that it happens during the transfer.
      let refused: number | undefined;
      const here: Buffer[] = [];
      const sink = new Writable({
        async write(chunk: Buffer, _encoding, done) {
          here.push(chunk);
          refused ??= await intrudeFrom(hostile, [...handles]);
          done();
        },
      });
      await getFile(honest, join(folder, "there"), sink);
      assert.ok((refused ?? 0) >= 4);
      assert.deepEqual(Buffer.concat(here), bytes);
      const source = async function* (): AsyncIterable<Uint8Array> {
        yield bytes.subarray(0, 2 * 1024 * 1024);
        await intrudeFrom(hostile, [...handles]);
        yield bytes.subarray(2 * 1024 * 1024);
      };
      await putFile(honest, join(folder, "back"), source());
      assert.deepEqual(readFileSync(join(folder, "back")), bytes);
    });

    it("credit for a Sender", async () => {
      const { router, hop: honest, sibling: hostile } = tree;
      const sender = await honest.call(withMitogen.openReceiver);
      const handles = handlesOf(router);
      const chunk = new Uint8Array(400 * 1024) as unknown as number;
      // The first two need no credit.
      await sender.send(chunk);
      await sender.send(chunk);
      let hasLeft = false;
      const third = sender.send(chunk).then(() => {
        hasLeft = true;
      });
      assert.ok((await intrudeFrom(hostile, handles)) >= 4);
      assert.equal(hasLeft, false);
      assert.equal(await honest.call(withMitogen.readNow), 2);
      sender.close();
      await honest.call(withMitogen.drain);
      await third;
    });
  });

  describe("a handle", () => {
    it("of a Receiver or a handler does not reveal the next one, in the program and in a context", async () => {
      const { router, outer: child } = tree;
      const own = (): number => new Receiver(router).handle;
      const handler = (): number => router.addHandler(() => undefined);
      const theirs = async (): Promise<number> => (await child.call(withMitogen.openReceiver)).handle;
      for (const next of [own, handler, theirs]) {
        const handles: number[] = [];
        for (let i = 0; i < 40; i++) handles.push(await next());
        assert.equal(new Set(handles).size, 40);
        assert.ok(handles.every((handle) => handle >= 0x10000 && handle < Handle.FIRST_REPLY));
        const steps = new Set(handles.slice(1).map((handle, i) => handle - (handles[i] as number)));
        assert.ok(steps.size > 35, "handles are not counted up");
        assert.ok(Math.max(...handles) - Math.min(...handles) > 2 ** 28, "handles are from the whole range");
      }
    });

    it("in the range for replies cannot be used for a Sender that the program would send to", async () => {
      const { hop: one, sibling: two } = tree;
      for (const handle of [Handle.FIRST_REPLY, 0x40000000, 0x80000000]) {
        await assert.rejects(one.call(nameSender, two, handle), {
          name: "ProtocolError",
          message: `Cannot decode sender: handle ${handle} is reserved`,
        });
      }
    });
  });

  describe("a request that a unidirectional context may not pass on", () => {
    it("is answered, even if it came from elsewhere in the tree", async () => {
      const { router, outer: outside } = tree;
      const hub = await router.local({ unidirectional: true });
      const [one, two] = await Promise.all([router.local({ via: hub }), router.local({ via: hub })]);
      const refusal = (from: Context, to: Context): string =>
        `ChannelError: Cannot route message from context ${from.contextId} to ${to.contextId}: context ${hub.contextId} is unidirectional`;
      for (const [from, to] of [
        [outside, one],
        [one, outside],
        [one, two],
      ] as const) {
        assert.equal(await from.call(ask, to, Handle.PING, null), refusal(from, to));
      }
      await hub.call(reach, one);
      await one.call(reach, hub);
    });
  });
});
