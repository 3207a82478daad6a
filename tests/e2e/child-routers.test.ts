import assert from "node:assert/strict";
import { userInfo } from "node:os";
import { after, before, describe, it } from "node:test";
import { CallError, ChannelError, type Context, Router, takesRouter } from "../../src/index.ts";
import * as remote from "../fixtures/remote/functions.ts";
import * as parents from "../fixtures/remote/parents.ts";
import * as withMitogen from "../fixtures/remote/with-mitogen.ts";
import { isFull, isQuick, takesLong } from "../support/extent.ts";
import { lab, nodes, skipReason } from "../support/lab.ts";
import { part, password } from "../support/lab-methods.ts";
import { checkLeaks, processesGone } from "../support/leak-check.ts";

checkLeaks({ ignoreCommand: /esbuild/ });

const MANY = isFull ? 8 : isQuick ? 2 : 3;
const DEPTH = isQuick ? 2 : 3;
const numbersTo = (count: number): number[] => Array.from({ length: count }, (_, index) => index + 1);

/** One signature instead of the overloads, so that `call` infers the types. */
const whoAmI = userInfo as () => { username: string };

/** The Node that runs the program, and the oldest one. */
const targets: [string, string | undefined][] = [["this Node", undefined]];
if (nodes["12"] !== undefined) targets.push(["Node 12", nodes["12"]]);

for (const [version, nodePath] of targets) {
  describe(`the router of a context on ${version}`, () => {
    let router: Router;
    let hop: Context;
    before(async () => {
      router = new Router();
      hop = await router.local({ name: "hop", nodePath });
    });
    after(() => router.shutdown());

    it("starts children, calls functions of the program's modules there, and ends them", async () => {
      const child = await hop.call(parents.startLocal, { name: "child" });
      assert.deepEqual([child.name, child.via], ["hop.child", hop]);
      assert.ok(child.contextId >= 2 && router.contextById(child.contextId) === child);
      assert.equal(await hop.call(parents.addIn, "child", 2, 3), 5);
      assert.equal(await hop.call(parents.hostnameIn, "child"), await hop.call(parents.hostnameIn, "child"));
      assert.deepEqual(await hop.call(parents.nameOf, "child"), ["child", undefined]);
      // The program knows the child too: it is called from here, and ended by the hop.
      assert.equal(await child.call(remote.add, 1, 1), 2);
      const pid = await child.call(remote.pid);
      assert.equal(await hop.call(parents.pidOf, "child"), pid);
      assert.match((await hop.call(parents.endIn, "child")) ?? "", /child: was shut down/);
      await child.disconnected;
      assert.deepEqual(await processesGone([pid], 5000), []);
      await assert.rejects(hop.call(parents.addIn, "child", 1, 1), /was shut down/);
    });

    it("works at any depth, also via a context below", async () => {
      const levels = numbersTo(DEPTH).reverse();
      assert.deepEqual(
        await hop.call(parents.descend, DEPTH),
        levels.map((level) => `level${level}`),
      );
      const middle = await hop.call(parents.startLocal, { name: "middle" });
      const below = await hop.call(parents.startBelow, "below", "middle");
      assert.deepEqual([below.name, below.via], ["hop.middle.below", middle]);
      assert.deepEqual(await hop.call(parents.nameOf, "below"), ["middle.below", "middle"]);
      assert.equal(await hop.call(parents.addIn, "below", 4, 5), 9);
      const own = await hop.call(parents.startIn, "middle", "own");
      assert.deepEqual([own.name, own.via], ["hop.middle.own", middle]);
      // Another router has started it, but it is below this one.
      assert.equal(await hop.call(parents.callInPassed, own), 42);
      const pids = await Promise.all([middle, below, own].map((each) => each.call(remote.pid)));
      await hop.call(parents.endIn, "middle");
      await Promise.all([below.disconnected, own.disconnected]);
      assert.deepEqual(await processesGone(pids, 5000), []);
    });

    it("lets siblings exchange messages without the program", async () => {
      assert.equal(await hop.call(parents.siblingsTalk, 100), 5050);
    });

    it("starts many children at once, each with its own id", async () => {
      assert.deepEqual(await hop.call(parents.startMany, MANY), numbersTo(MANY));
    });

    it("tells those who wait that a child and all below it have died", async () => {
      const child = await hop.call(parents.startLocal, { name: "victim" });
      const grandchild = await hop.call(parents.startIn, "victim", "grandchild");
      const pids = [await child.call(remote.pid), await grandchild.call(remote.pid)];
      const waiting = hop.call(parents.waitForEnd, "victim");
      await hop.ping();
      process.kill(pids[0] as number, "SIGKILL");
      assert.match((await waiting) ?? "", /victim: .*signal 9/);
      await Promise.all([child.disconnected, grandchild.disconnected]);
      assert.deepEqual(await processesGone(pids, 5000), []);
    });

    it("ends children that hang", { skip: takesLong }, async () => {
      const child = await hop.call(parents.startLocal, { name: "hung" });
      const pid = await child.call(remote.pid);
      await hop.call(parents.hangIn, "hung");
      assert.match((await hop.call(parents.endIn, "hung")) ?? "", /was shut down/);
      assert.deepEqual(await processesGone([pid], 5000), []);
    });

    it("reports a failed connect as the program's router does", async () => {
      const [name, message] = await hop.call(parents.connectFailure);
      assert.equal(name, "StreamError");
      assert.match(message, /^Cannot connect with exec\(\): .*nowhere/);
    });

    it("starts threads, which cannot start contexts", async () => {
      const thread = await hop.call(parents.startThread);
      assert.equal(await thread.call(remote.add, 1, 2), 3);
      const error = await thread.call(parents.startLocal, {}).catch((reason: Error) => reason);
      assert.match(String(error), /Cannot connect from a thread: it cannot have children/);
      // The program did not start it, so it does not know which of the two it is.
      await assert.rejects(router.local({ via: thread }), {
        name: "TypeError",
        message: `Cannot connect with local() via ${thread.name}: it is a thread or a program that has connected, and cannot have children; use the context it belongs to`,
      });
      await thread.shutdown();
    });

    it("fills in what takesEcontext and takesRouter leave out", async () => {
      const where = await hop.call(parents.whereAmI, "context ", 1, 2);
      assert.deepEqual(where, {
        text: `context ${hop.contextId}`,
        rest: [1, 2],
        parentId: 0,
        parentIds: [0],
        isSame: true,
        isRouter: true,
        isMain: false,
      });
    });

    it("has nothing that only the program's router has", async () => {
      await assert.rejects(hop.call(parents.useModules), /Cannot use router\.modules in a context/);
      await assert.rejects(hop.call(parents.makeRouter), /Cannot make a router in a context/);
    });

    it("starts nothing via a context that is not below its own (ALLOCATE_ID)", async () => {
      const sibling = await router.local({ nodePath });
      for (const other of [sibling, router.myself()]) {
        assert.match(
          await hop.call(parents.failureVia, other),
          new RegExp(
            `ChannelError: Cannot allocate ids for context ${other.contextId}: it is not below context ${hop.contextId}`,
          ),
        );
      }
      await sibling.shutdown();
    });
  });
}

describe("contexts that contexts have started", () => {
  let router: Router;
  let hop: Context;
  before(async () => {
    router = new Router();
    hop = await router.local({ name: "hop" });
  });
  after(() => router.shutdown());

  it("end when their parent is shut down or dies", { skip: takesLong }, async () => {
    for (const isKilled of [false, true]) {
      const parent = await router.local();
      const child = await parent.call(parents.startLocal, { name: "child" });
      const grandchild = await parent.call(parents.startIn, "child", "grandchild");
      const pids = await Promise.all([parent, child, grandchild].map((each) => each.call(remote.pid)));
      const call = grandchild.call(remote.echoLater, 1, 60_000);
      call.catch(() => undefined);
      if (isKilled) process.kill(pids[0] as number, "SIGKILL");
      else await parent.shutdown();
      await assert.rejects(call, ChannelError);
      await grandchild.disconnected;
      assert.deepEqual(await processesGone(pids, 5000), []);
    }
  });

  it("serve the program as `via`, and can be shut down by it, even hung", async () => {
    const child = await hop.call(parents.startLocal, { name: "child" });
    const below = await router.local({ name: "below", via: child });
    assert.equal(below.name, "hop.child.below");
    assert.equal(await below.call(withMitogen.plus, 1, 2), 3);
    const pids = await Promise.all([child, below].map((context) => context.call(remote.pid)));
    await hop.call(parents.hangIn, "child");
    await child.shutdown();
    assert.deepEqual(await processesGone(pids, 3000), []);
    assert.match((await hop.call(parents.waitForEnd, "child")) ?? "", /was shut down/);
  });

  it("reach only those above them in a unidirectional program", { skip: takesLong }, async () => {
    await using router = new Router(undefined, { unidirectional: true });
    const hop = await router.local();
    const [left, right] = [
      await hop.call(parents.startLocal, { name: "left" }),
      await hop.call(parents.startLocal, { name: "right" }),
    ];
    assert.equal(await hop.call(parents.addIn, "left", 1, 1), 2);
    assert.equal(await left.call(parents.pingOther, hop), "reached");
    assert.match(await left.call(parents.pingOther, right), /unidirectional/);
  });

  it("do not keep their parent from learning that a sibling of its own has ended", {
    skip: takesLong,
  }, async () => {
    await using router = new Router();
    const [hop, sibling] = [await router.local({ name: "hop" }), await router.local({ name: "sibling" })];
    await hop.call(parents.startLocal, { name: "child" });
    await hop.call(parents.waitFor, sibling);
    await sibling.call(remote.killYourself).catch(() => undefined);
    assert.match((await hop.call(parents.waitedFor)) ?? "", /sibling/);
  });

  it("may run as other users, and a wrong password fails", {
    skip: skipReason(),
  }, async () => {
    await using router = new Router();
    const hop = await router.exec({
      command: ["setpriv", "--reuid", "mitogen-sudo-pw", "--regid", "mitogen-sudo-pw", "--init-groups"],
      nodePath: lab()?.node,
    });
    const options = {
      username: "mitogen-target",
      nodePath: lab()?.node,
      sudoPath: part("become").tools.sudo,
    };
    const target = await hop.call(parents.startSudo, { ...options, password: password() });
    assert.equal((await target.call(whoAmI)).username, "mitogen-target");
    assert.match(target.name, /^exec\..*\.sudo\.mitogen-target$/);
    const wrong = hop.call(parents.startSudo, { ...options, password: "not-the-password" });
    await assert.rejects(wrong, /PasswordError: .*incorrect/);
  });
});

describe("takesRouter in the program", () => {
  const countStarted: (count: number) => Promise<number> = takesRouter(async (router, count: number) => {
    const contexts = await Promise.all(Array.from({ length: count }, () => router.local()));
    await Promise.all(contexts.map((context) => context.shutdown()));
    return contexts.length;
  });
  it("gives the program's router if there is exactly one", async () => {
    assert.throws(() => countStarted(1), /Cannot fill in the router: this program has no router/);
    const router = new Router();
    assert.equal(await countStarted(1), 1);
    const other = new Router();
    assert.throws(() => countStarted(1), { name: "MitogenError", message: /this program has 2 routers/ });
    await other.shutdown();
    assert.equal(await countStarted(0), 0);
    await router.shutdown();
  });
  it("is refused for a function that is not exported; takesEcontext is always refused", async () => {
    await using router = new Router();
    const context = await router.local();
    const inline = takesRouter(async () => 1);
    for (const call of [
      context.call(countStarted, 1),
      context.call(inline),
      context.call(takesRouter(() => 1)),
    ]) {
      await assert.rejects(call, {
        name: "TypeError",
        message:
          /\(file:.*child-routers.*\) in another process: it is made by a wrapper, and not exported; export it$/,
      });
    }
    assert.throws(() => parents.whereAmI(""), {
      name: "MitogenError",
      message:
        /runs in the program itself, not in a context; call the function that asks for it with context.call\(\)$/,
    });
    const error = await context.call(parents.whereAmI, "x").catch((reason: Error) => reason);
    assert.ok(!(error instanceof CallError));
  });
});
