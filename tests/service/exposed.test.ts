import assert from "node:assert/strict";
import { test } from "node:test";
import type { Message } from "../../src/core/message.ts";
import type { Policy } from "../../src/core/policy.ts";
import { CallError } from "../../src/errors.ts";
import { AllowAny, AllowParents, argSpec, expose, methodFor } from "../../src/service/exposed.ts";
import { Pool } from "../../src/service/pool.ts";
import { type Exposed, Service } from "../../src/service/service.ts";
import { captureLogs, printed } from "../support/fake-log-sink.ts";
import { failureOf, servicePair } from "../support/service-pair.ts";

const yes: Policy = () => true;
const no: Policy = () => false;

class Shop extends Service {
  static override serviceName = "shop";
  static override exposed: Record<string, Exposed> = {
    parents: AllowParents,
    any: AllowAny,
    both: [yes, no],
    throwing: () => {
      throw new Error("cannot decide");
    },
    later: (async () => true) as never,
    list: { allow: AllowAny, args: { kind: "string" } },
    field: AllowAny,
    missing: AllowAny,
    stacked: yes,
    name: AllowAny,
  };

  parents(): string {
    return "parents";
  }
  any(): string {
    return "any";
  }
  both(): string {
    return "both";
  }
  throwing(): string {
    return "throwing";
  }
  later(): string {
    return "later";
  }
  list({ kind }: { kind: string }): string {
    return kind;
  }
  field: () => string = () => "field";
  hidden(): string {
    return "hidden";
  }
  get accessor(): () => string {
    return () => "accessor";
  }

  @expose(no)
  stacked(): string {
    return "stacked";
  }
}

class Derived extends Shop {
  static override serviceName = "derived";

  @expose(AllowAny)
  own(): string {
    return "own";
  }
  // No policy says who may call this override.
  override stacked(): string {
    return "derived stacked";
  }
}

/** A service of the master that its child calls. The child is above nobody. */
function fromBelow() {
  const { master, child } = servicePair();
  new Pool(master, [new Shop(master), new Derived(master)]);
  const context = child.contextById(0);
  return {
    master,
    child,
    ask: (method: string, args?: object) => context.callService("shop", method, args),
    context,
  };
}

test("expose lets a request pass only if all policies of a method, stacked or listed, agree", async () => {
  const { ask } = fromBelow();
  assert.equal(await ask("any"), "any");
  for (const method of ["both", "stacked", "throwing", "later"]) {
    const { code, message } = await failureOf(ask(method));
    assert.equal(code, "ERR_SERVICE_POLICY", method);
    assert.equal(message, `Cannot call ${method} of service shop from context 1: refused by policy`);
  }
});

test("a method without a policy and a method that does not exist have errors of their own", async () => {
  const { ask } = fromBelow();
  const hidden = await failureOf(ask("hidden"));
  assert.ok(hidden instanceof CallError);
  assert.equal(hidden.code, "ERR_SERVICE_METHOD");
  assert.equal(
    hidden.message,
    "Cannot call hidden of service shop: it is not exposed, because no policy says who may call it",
  );
  for (const name of [
    "nothing",
    "missing",
    "constructor",
    "__proto__",
    "toString",
    "name",
    "onShutdown",
    "router",
    "accessor",
  ]) {
    const { code, message } = await failureOf(ask(name));
    assert.equal(code, "ERR_SERVICE_METHOD", name);
    assert.equal(message, `Cannot call ${name} of service shop: it has no such method`);
  }
});

test("a method may be a field of the object", async () => {
  assert.equal(await fromBelow().ask("field"), "field");
});

test("AllowParents lets this context and those above it, and no other", async () => {
  const { ask, master, child } = fromBelow();
  assert.equal((await failureOf(ask("parents"))).code, "ERR_SERVICE_POLICY");
  assert.equal(await master.myself().callService(Shop, "parents"), "parents");
  new Pool(child, [new Shop(child)]);
  assert.equal(await master.contextById(1).callService(Shop, "parents"), "parents");
  assert.equal(await child.myself().callService(Shop, "parents"), "parents");
  const asked = (authId: number) => ({ router: child, authId }) as never as Message;
  assert.deepEqual(
    [0, 1, 2].map((id) => AllowParents(asked(id))),
    [true, true, false],
  );
  assert.equal(AllowAny(asked(2)), true);
});

test("a context's request to itself passes policies, but reaches no method that is not exposed", async () => {
  const { master } = fromBelow();
  const self = master.myself();
  assert.equal(await self.callService("shop", "both"), "both");
  assert.equal((await failureOf(self.callService("shop", "hidden"))).code, "ERR_SERVICE_METHOD");
  assert.equal((await failureOf(self.callService("shop", "list", {}))).code, "ERR_SERVICE_ARGUMENT");
  // The context sends the request itself, but with the authority of another context, which it only passes on.
  const request = { service: "shop", reference: undefined, method: "both", args: {} };
  const sentWith = (authId: number) => ({ router: master, srcId: 0, authId }) as never as Message;
  assert.throws(() => methodFor(new Shop(master), "shop", request, sentWith(1)), /refused by policy/);
  assert.equal(methodFor(new Shop(master), "shop", request, sentWith(0)).noReply, false);
});

test("a subclass keeps what its base exposes by table, and an override without a policy hides what a decorator exposed", async () => {
  const { context } = fromBelow();
  assert.equal(await context.callService("derived", "own"), "own");
  assert.equal(await context.callService("derived", "any"), "any");
  // Only the policy of the table is left, because that of the decorator belonged to the base method.
  assert.equal(await context.callService("derived", "stacked"), "derived stacked");
});

test("static exposed checks arguments and takes noReply as the decorators do", async () => {
  const { ask } = fromBelow();
  assert.equal(await ask("list", { kind: "disk", more: 1 }), "disk");
  const { code, message } = await failureOf(ask("list", { kind: 3 }));
  assert.equal(code, "ERR_SERVICE_ARGUMENT");
  assert.match(message, /argument "kind" is of the wrong type, got number, expected string/);
});

test("expose does the same as a function of a prototype and a name", async () => {
  class Plain extends Service {
    static override serviceName = "plain";
    ping(): string {
      return "pong";
    }
  }
  expose(AllowAny)(Plain.prototype, "ping");
  argSpec({ count: "number" })(Plain.prototype, "ping");
  const { master, child } = servicePair();
  new Pool(master, [new Plain(master)]);
  const context = child.contextById(0);
  assert.equal(await context.callService("plain", "ping", { count: 1 }), "pong");
  assert.equal((await failureOf(context.callService(Plain, "ping"))).code, "ERR_SERVICE_ARGUMENT");
});

test("expose and argSpec refuse invalid policies and types", () => {
  assert.throws(
    () => expose(...([] as never as [Policy])),
    /a policy is AllowAny, AllowParents, or a function/,
  );
  assert.throws(() => expose("AllowAny" as never), TypeError);
  assert.throws(
    () => expose(AllowAny)(Shop.prototype, "nothing"),
    /Cannot expose nothing: it is not a method/,
  );
  assert.throws(
    () => argSpec({ name: "text" as never }),
    /argument "name" to be "text": a type is one of string,/,
  );
});

test("a refusal is a WARNING in the log of the host", async (t) => {
  const { ask } = fromBelow();
  const records = captureLogs(t, "warning");
  await failureOf(ask("parents"));
  assert.deepEqual(printed(records), [
    "warning: parents of service shop, asked for by context 1, failed: Cannot call parents of service shop from context 1: refused by policy",
  ]);
});
