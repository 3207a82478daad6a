/** How a child starts a service that it does not have yet. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Message } from "../../src/core/message.ts";
import { Receiver } from "../../src/core/receiver.ts";
import { type CallError, ChannelError } from "../../src/errors.ts";
import type { FunctionName } from "../../src/functions/function-name.ts";
import { AllowAny } from "../../src/service/exposed.ts";
import { Pool } from "../../src/service/pool.ts";
import { stopServices } from "../../src/service/router-services.ts";
import { type Exposed, Service } from "../../src/service/service.ts";
import { Deferred } from "../../src/waiting/deferred.ts";
import { activatingPair, failureOf, servicePair } from "../support/service-pair.ts";

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

let constructed = 0;
class Lazy extends Service {
  static override exposed: Record<string, Exposed> = { ping: AllowAny };
  constructor(router: Service["router"]) {
    super(router);
    constructed += 1;
  }
  ping(): string {
    return "pong";
  }
}

test("a child starts a service by its class for contexts above, once", async () => {
  constructed = 0;
  const loaded: FunctionName[] = [];
  const arrives = new Deferred<{ fn: unknown }>();
  const { context, child, master } = activatingPair((name) => {
    loaded.push(name);
    return arrives.promise;
  });
  const calls = [context.callService(Lazy, "ping"), context.callService(Lazy, "ping")];
  await turn();
  arrives.resolve({ fn: Lazy });
  assert.deepEqual(await Promise.all(calls), ["pong", "pong"]);
  assert.equal(await context.callService(Lazy, "ping"), "pong");
  assert.deepEqual(loaded, [{ module: "file:///fake.js", path: ["Lazy"] }]);
  assert.equal(constructed, 1);
  // The same class under another name is the same service.
  const other = await context.request(110, ["again", ["file:///index.js", ["Lazy"]], "ping", {}]);
  assert.equal(other, "pong");
  assert.equal(constructed, 1);
  // Contexts below may use active services, but start none.
  const below = (service: string, place: unknown) =>
    child.routeFrame({
      ...Message.to(
        child,
        { dstId: 1, handle: 110, replyTo: receiver.handle },
        { value: [service, place, "ping", {}] },
      ),
      srcId: 5,
      authId: 5,
    });
  const receiver = new Receiver(master);
  below("file:///fake.js#Lazy", null);
  below("other", ["file:///fake.js", ["Other"]]);
  assert.equal(loaded.length, 2);
  receiver.close();
});

test("a child starts no service for other contexts, and refuses the request with the cure", async () => {
  let loads = 0;
  const { child } = activatingPair(async () => {
    loads += 1;
    return { fn: Lazy };
  });
  new Pool(child);
  const refused = new Deferred<unknown>();
  const message = new Message(child, {
    ...Message.to(
      child,
      { dstId: 1, handle: 110, replyTo: 9 },
      { value: ["x#Lazy", ["file:///x.js", ["Lazy"]], "ping", {}] },
    ),
    srcId: 5,
    authId: 5,
  });
  message.reply = (value) => refused.resolve(value);
  new Pool(child, [], { overwrite: true }).accept(message);
  const error = (await refused.promise) as CallError;
  assert.equal(error.code, "ERR_SERVICE_INACTIVE");
  assert.equal(
    error.message,
    "Cannot call service x#Lazy in context 1: it is not active; only a context above may start it",
  );
  assert.equal(loads, 0);
});

test("the master starts no service that is not in its pool", async () => {
  const { master, child } = servicePair();
  new Pool(master);
  const { code, message } = await failureOf(child.contextById(0).callService(Lazy, "ping"));
  assert.equal(code, "ERR_SERVICE_INACTIVE");
  assert.match(
    message,
    /it is not active; add it to a Pool there, or call it by its class from a context above/,
  );
});

test("a class that cannot be loaded, or is not a service, fails the requests for it, and is tried again for the next one", async () => {
  const answers: (() => unknown)[] = [
    () => {
      throw new Error("cannot evaluate");
    },
    () => Date,
    () => Lazy,
  ];
  const { context } = activatingPair(async () => ({ fn: answers.shift()?.() }));
  assert.equal((await failureOf(context.callService(Lazy, "ping"))).message, "Error: cannot evaluate");
  const none = await failureOf(context.callService(Lazy, "ping"));
  assert.equal(none.code, "ERR_SERVICE_INACTIVE");
  assert.match(none.message, /it is not a subclass of Service/);
  assert.equal(await context.callService(Lazy, "ping"), "pong");
});

test("a class that loads while the pool stops is not started", async () => {
  constructed = 0;
  const arrives = new Deferred<{ fn: unknown }>();
  const { context, child } = activatingPair(() => arrives.promise);
  const outcome = failureOf(context.callService(Lazy, "ping"));
  await turn();
  await stopServices(child, 60_000);
  assert.ok((await outcome) instanceof ChannelError);
  arrives.resolve({ fn: Lazy });
  await turn();
  assert.equal(constructed, 0);
});

test("a context that calls its own service needs nothing loaded", async () => {
  const { child, master } = activatingPair(() => assert.fail("nothing is to be loaded"));
  assert.equal(await child.myself().callService(Lazy, "ping"), "pong");
  new Pool(master);
  assert.equal(await master.myself().callService(Lazy, "ping"), "pong");
});
