import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import {
  AllowAny,
  CallError,
  ChannelError,
  type Context,
  expose,
  Pool,
  Receiver,
  Router,
  ref,
  Service,
  TimeoutError,
} from "../../src/index.ts";
import { greetThroughIndex } from "../fixtures/remote/service-index.ts";
import * as remote from "../fixtures/remote/services.ts";
import { collectLogs } from "../support/collect-logs.ts";
import { nodes, skipReason } from "../support/lab.ts";
import { checkLeaks } from "../support/leak-check.ts";

checkLeaks({ ignoreCommand: /esbuild/ });

const loadAnswers = ref(new URL("../fixtures/remote/service-at-load.js", import.meta.url), "loadAnswers");

const failureOf = (promise: Promise<unknown>): Promise<Error & { code: string }> =>
  promise.then(
    () => assert.fail("it did not reject"),
    (error) => error as Error & { code: string },
  );

for (const major of ["12", "20", "26"]) {
  describe(`services of contexts on Node ${major}`, { skip: skipReason() }, () => {
    const start = (router: Router, via?: Context): Promise<Context> =>
      router.local({ via, nodePath: nodes[major] });

    it("are started once, by the first request from above", async () => {
      await using router = new Router();
      const context = await start(router);
      const answers = await Promise.all([
        context.service(remote.Greeter).ping(),
        context.callService(remote.Greeter, "greet", { name: "Ada" }),
        context.callService(remote.Greeter, "constructedCount"),
      ]);
      assert.match(answers[0], /^pong from \d+$/);
      assert.notEqual(answers[0], `pong from ${process.pid}`);
      assert.deepEqual(answers.slice(1), ["Hello, Ada", 1]);
      const message = await context.callServiceAsync(remote.Greeter, "greet", { name: "Grace" }).get();
      assert.equal(message.decode(), "Hello, Grace");
      assert.equal(await context.service(remote.Greeter).constructedCount(), 1);
    });

    it("work two levels down, for the program and for the context between", async () => {
      await using router = new Router();
      const middle = await start(router);
      const leaf = await start(router, middle);
      assert.equal(await middle.call(remote.greetIn, leaf, "leaf"), "Hello, leaf");
      assert.match(await leaf.service(remote.Greeter).ping(), /^pong/);
      const other = await start(router, middle);
      assert.equal(await other.service(remote.Greeter).greet({ name: "other" }), "Hello, other");
    });

    it("refuse siblings before they are started, and then as their policy says", async () => {
      await using router = new Router();
      const [left, right] = await Promise.all([start(router), start(router)]);
      // The library's code for services is not there yet either.
      const before = await failureOf(left.call(remote.pingIn, right));
      assert.match(before.message, /handle 110 of context \d+: refused by policy/);
      await right.service(remote.Greeter).ping();
      const [code, reason] = await left.call(remote.pingCode, right);
      assert.equal(code, "ERR_SERVICE_POLICY", reason);
      assert.equal(await left.call(remote.greetIn, right, "sibling"), "Hello, sibling");
      const inactive = await failureOf(left.call(remote.pingNamed, right));
      assert.equal(inactive.code, "ERR_SERVICE_INACTIVE");
    });

    it("can be called by their own context", async () => {
      await using router = new Router();
      const context = await start(router);
      const [answer, srcId, authId] = await context.call(remote.callMyself);
      assert.match(answer, /^pong/);
      assert.deepEqual([srcId, authId], [context.contextId, context.contextId]);
      assert.ok((await context.call(remote.pingMyself)) >= 0);
    });

    it("answer while a function runs, and after one that blocks", async () => {
      await using router = new Router();
      const context = await start(router);
      const running = context.call(remote.hold);
      await context.service(remote.Releaser).letGo();
      assert.equal(await running, "released");
      const fresh = await start(router);
      const blocked = fresh.call(remote.blockFor, 300);
      assert.match(await fresh.service(remote.Greeter).ping(), /^pong/);
      assert.equal(await blocked, "done");
    });

    it("fail calls after their pool has stopped", async () => {
      await using router = new Router();
      const context = await start(router);
      await context.call(remote.makePool);
      assert.equal(await context.callService("named", "ping"), "pong");
      const [code, reason] = await context.call(remote.stopPool);
      assert.equal(code, "ERR_CHANNEL");
      assert.match(reason, /no such handle/);
      await assert.rejects(context.service(remote.Greeter).ping(), ChannelError);
    });

    it("run methods one at a time, or once, as their class says", async () => {
      await using router = new Router();
      const context = await start(router);
      const steps = await Promise.all(
        ["a", "b"].map((label) => context.service(remote.Serialized).step({ label })),
      );
      assert.deepEqual(steps[1], ["a begins", "a ends", "b begins", "b ends"]);
      const counter = context.service(remote.Counter);
      const counts = await Promise.all(["x", "x", "y", "x"].map((key) => counter.count({ key })));
      assert.deepEqual(counts, [1, 1, 2, 1]);
    });
  });
}

describe("services", () => {
  let router: Router;
  let context: Context;
  let leaf: Context;
  before(async () => {
    router = new Router();
    new Pool(router, [new remote.Greeter(router), new remote.Named(router)]);
    context = await router.local({ name: "host" });
    leaf = await router.local({ via: context });
  });
  after(() => router.shutdown());

  it("are not started by name only, and such a call fails at once", async () => {
    for (const request of [leaf.callService("named", "ping"), context.call(remote.pingNamed, leaf)]) {
      assert.equal((await failureOf(request)).code, "ERR_SERVICE_INACTIVE");
    }
    // After a call by its class, it can be called by name.
    assert.equal(await leaf.service(remote.Named).ping(), "pong");
    assert.equal(await context.call(remote.pingNamed, leaf), "pong");
  });

  it("of the program are called from its contexts", async () => {
    assert.equal(await context.call(remote.greetIn, router.myself(), "master"), "Hello, master");
    assert.equal(await leaf.call(remote.greetIn, router.myself(), "far master"), "Hello, far master");
    assert.equal(await leaf.call(remote.pingNamed, router.myself()), "pong");
    const [code, reason] = await context.call(remote.pingCode, router.myself());
    assert.equal(code, "ERR_SERVICE_POLICY", reason);
    assert.equal(await router.myself().service(remote.Greeter).ping(), `pong from ${process.pid}`);
  });

  it("are identified by the module that defines them, not by one that exports them again", async () => {
    assert.equal(await context.call(greetThroughIndex, router.myself()), "Hello, index");
  });

  it("work in a thread as in a process", async () => {
    const thread = await router.thread();
    assert.match(await thread.service(remote.Greeter).ping(), /^pong/);
    assert.equal(await context.call(remote.greetIn, thread, "thread"), "Hello, thread");
    const [, srcId, authId] = await thread.call(remote.callMyself);
    assert.deepEqual([srcId, authId], [thread.contextId, thread.contextId]);
    await thread.shutdown();
  });

  it("report a failure to the caller and to the log of their host", async () => {
    const logs = collectLogs();
    const error = await failureOf(context.callService(remote.Greeter, "fail", { code: "ENOTHING" }));
    assert.ok(error instanceof CallError);
    assert.equal(error.code, "ENOTHING");
    assert.equal(error.message, "RangeError: no such thing");
    // The stack shows where it was thrown, then where it was called, without lines of this library between.
    assert.match(error.stack ?? "", /at Greeter\.fail .*\n +at \[host\]\n.*services\.test\.\w+:\d+/);
    const greet = context.callService("nothing", "ping");
    assert.equal((await failureOf(greet)).code, "ERR_SERVICE_INACTIVE");
    const ofHost = () => logs.records.filter(({ mitogenName }) => mitogenName === "mitogen.service");
    await logs.until(() => ofHost().length >= 2);
    logs.stop();
    const [first, second] = ofHost().filter(({ level }) => level !== "debug");
    assert.equal(first?.level, "error");
    assert.match(
      first?.message ?? "",
      /fail of service .*Greeter, asked for by context 0, failed: .*\n +at /,
    );
    assert.equal(second?.level, "warning");
    assert.match(second?.message ?? "", /ping of service nothing/);
  });

  it("may answer later themselves, or not at all", async () => {
    const greeter = context.service(remote.Greeter);
    assert.equal(await greeter.answerLater(), "later");
    const receiver = new Receiver<string>(router);
    const answer = context.callServiceAsync(remote.Greeter, "tell", { sender: receiver.toSender() });
    assert.equal((await receiver.get()).decode(), "told");
    await greeter.ping();
    assert.equal(answer.size(), 0);
    receiver.close();
    answer.close();
  });

  it("can be called with a timeout and a signal", async () => {
    await context.service(remote.Greeter).ping();
    const bounded = context.with({ timeoutMs: 100 });
    const running = context.call(remote.blockFor, 1000);
    const error = await failureOf(bounded.service(remote.Greeter).ping());
    assert.ok(error instanceof TimeoutError);
    assert.match(error.message, /call ping of service .*#Greeter in host: no answer within 100 ms/);
    const controller = new AbortController();
    const aborted = context.with({ signal: controller.signal }).callService(remote.Greeter, "ping");
    controller.abort(new Error("enough"));
    assert.equal((await failureOf(aborted)).message, "enough");
    await running;
  });

  it("of a context that ends fail the calls that wait for them", async () => {
    await context.service(remote.Greeter).ping();
    const running = context.call(remote.blockFor, 60_000).catch(() => undefined);
    const waiting = failureOf(context.service(remote.Greeter).ping());
    const receiver = context.callServiceAsync(remote.Greeter, "ping");
    await context.shutdown();
    assert.ok((await waiting) instanceof ChannelError);
    await assert.rejects(receiver.get(), ChannelError);
    await running;
    await assert.rejects(context.service(remote.Greeter).ping(), ChannelError);
  });
});

describe("services, with a router of their own", () => {
  it("of the program end before its contexts do", async () => {
    const router = new Router();
    const context = await router.local();
    const events: string[] = [];
    class Cleaner extends remote.Named {
      static override serviceName = "cleaner";
      override async onShutdown(): Promise<void> {
        events.push(await context.call(remote.blockFor, 0));
      }
    }
    new Pool(router, [new Cleaner(router)]);
    assert.equal(await router.myself().service(Cleaner).ping(), "pong");
    // Calls it once before, because services have half a second to end, and a busy machine would need that to compile.
    await context.call(remote.blockFor, 0);
    await router.shutdown();
    assert.deepEqual(events, ["done"]);
    await assert.rejects(router.myself().service(Cleaner).ping(), ChannelError);
  });

  it("that hang do not delay the end of the program", async () => {
    const router = new Router();
    const hung = await router.local();
    class Hanging extends Service {
      static override serviceName = "hanging";
      async ping(): Promise<never> {
        return await new Promise(() => undefined);
      }
      override async onShutdown(): Promise<void> {
        await hung.call(remote.blockFor, 60_000);
      }
    }
    expose(AllowAny)(Hanging.prototype, "ping");
    new Pool(router, [new Hanging(router)]);
    const request = failureOf(router.myself().service(Hanging).ping());
    const started = Date.now();
    await router.shutdown();
    // Five seconds are promised; a busy machine gets more.
    assert.ok(Date.now() - started < 8000, `${Date.now() - started} ms`);
    assert.ok((await request) instanceof ChannelError);
  });

  it("may be called while a module of the same context is evaluated", async () => {
    await using router = new Router();
    new Pool(router, [new remote.Named(router)]);
    const context = await router.local();
    const call = context.call(loadAnswers);
    // Another request during the load must not wait for it either.
    assert.match(await context.service(remote.Greeter).ping(), /^pong/);
    assert.deepEqual(await call, ["Hello, self", "pong", "pong while loading"]);
  });
});
