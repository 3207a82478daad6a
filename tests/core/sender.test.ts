import assert from "node:assert/strict";
import { test } from "node:test";
import { inspect } from "node:util";
import { Context } from "../../src/core/context.ts";
import { Receiver } from "../../src/core/receiver.ts";
import { Sender } from "../../src/core/sender.ts";
import { ProtocolError } from "../../src/errors.ts";
import { decodeValue } from "../../src/wire/cbor/decoder.ts";
import { encodeValue } from "../../src/wire/cbor/encoder.ts";
import { Handle } from "../../src/wire/handles.ts";
import { MAX_CONTEXT_NAME, travelsAs, type WireReference } from "../../src/wire/values/references.ts";
import { masterAndChild } from "../support/fake-tree.ts";

/** Handles of replies, of credit, and of replies to a broker thread. */
const OF_ONE_PEER = [Handle.FIRST_REPLY, 0x40000000, 0x80000000, 0xffffffff];

/** An object that travels as any reference, as a hostile peer would send it. */
class Forged {
  static {
    travelsAs(Forged, (forged) => forged.form);
  }
  readonly form: WireReference;

  constructor(form: WireReference) {
    this.form = form;
  }
}

test("Sender.send reaches its receiver from another context, in order", async () => {
  const { master, child } = masterAndChild();
  const receiver = new Receiver<unknown>(master);
  const sender = new Sender<unknown>(child, 0, receiver.handle);
  for (const value of [1, "two", { three: 3 }]) await sender.send(value);
  const seen = [await receiver.get(), await receiver.get(), await receiver.get()];
  assert.deepEqual(
    seen.map((message) => [message.srcId, message.decode()]),
    [
      [1, 1],
      [1, "two"],
      [1, { three: 3 }],
    ],
  );
});

test("Sender travels as a value and works where it arrives", async () => {
  const { master, child } = masterAndChild();
  const [above, below] = [new Receiver<unknown>(master), new Receiver<Sender<unknown>>(child)];
  await new Sender<unknown>(master, 1, below.handle).send(above.toSender());
  const arrived = (await below.get()).decode();
  assert.ok(arrived instanceof Sender);
  assert.deepEqual([arrived.contextId, arrived.handle], [0, above.handle]);
  await arrived.send("hello from below");
  assert.equal((await above.get()).decode(), "hello from below");
  // And back again.
  await new Sender<unknown>(child, 0, above.handle).send([arrived]);
  const [home] = (await above.get()).decode() as [Sender<unknown>];
  await home.send("to myself");
  assert.equal((await above.get()).decode(), "to myself");
});

test("Sender.send rejects with the path to a value that cannot travel, and sends nothing", async () => {
  const { master, child } = masterAndChild();
  const receiver = new Receiver<unknown>(master);
  const sender = new Sender<unknown>(child, 0, receiver.handle);
  await assert.rejects(sender.send({ fn: () => 1 }), { name: "TypeError", message: /fn: function/ });
  assert.equal(receiver.size(), 0);
});

test("Sender.close ends the iteration of its receiver, with the context that closed it", async () => {
  const { master, child } = masterAndChild();
  const receiver = new Receiver(master);
  new Sender(child, 0, receiver.handle).close();
  await assert.rejects(receiver.get(), { message: "The sender in context 1 was closed" });
});

test("Sender.send and close to a context that is gone do not throw", async () => {
  const { master, wire } = masterAndChild();
  wire.cut("gone");
  const sender = new Sender(master, 1, 2000);
  await sender.send(1);
  sender.close();
});

test("Sender and Context print as text", () => {
  const { master, context } = masterAndChild();
  const sender = new Sender(master, 1, 2000);
  assert.deepEqual([`${sender}`, inspect(sender)], ["Sender(1:2000)", "Sender(1:2000)"]);
  assert.equal(inspect(context), "Context(1, 'child.1')");
});

test("Context travels as a value and is the same object when it comes back", async () => {
  const { master, child, context } = masterAndChild();
  const [above, below] = [new Receiver<unknown>(master), new Receiver<Context>(child)];
  await new Sender<unknown>(master, 1, below.handle).send(context);
  const arrived = (await below.get()).decode();
  assert.equal(arrived, child.myself());
  await new Sender<unknown>(child, 0, above.handle).send({ at: arrived, above: child.contextById(0) });
  assert.deepEqual((await above.get()).decode(), { at: context, above: master.myself() });
});

test("Contexts and Senders of another router of this process are refused, with the path", async () => {
  const [{ master, child }, other] = [masterAndChild(), masterAndChild()];
  const sender = new Sender<unknown>(child, 0, new Receiver<unknown>(master).handle);
  await assert.rejects(sender.send({ at: other.child.contextById(0) }), {
    name: "TypeError",
    message: "Cannot send value.at: a context of another Router means nothing here; use one of this Router",
  });
  const foreign = new Receiver<unknown>(other.child).toSender();
  await assert.rejects(
    sender.send([foreign]),
    /^TypeError: Cannot send value\[0\]: a sender of another Router/,
  );
  await sender.send([child.contextById(0), sender]);
});

test("Context from a hostile peer is not a context of this router, and is not kept", async () => {
  const { master, child } = masterAndChild();
  const receiver = new Receiver<Context>(master);
  const forger = new Sender<unknown>(child, 0, receiver.handle);
  await forger.send(new Forged({ kind: "context", contextId: 4711, name: "root" }));
  const forged = (await receiver.get()).decode();
  assert.equal(forged.name, "root");
  assert.notEqual(master.contextById(4711), forged);
  assert.equal(master.contextById(4711).name, "context.4711");
  // Nor does it rename a known context.
  await forger.send(new Forged({ kind: "context", contextId: 1, name: "someone else" }));
  assert.equal((await receiver.get()).decode().name, "child.1");
});

test("Message.decode refuses references with ids, handles and names outside their bounds", async () => {
  const { master } = masterAndChild();
  const refused: WireReference[] = [
    { kind: "context", contextId: 2 ** 32, name: "n" },
    { kind: "context", contextId: 1, name: "n".repeat(MAX_CONTEXT_NAME) },
    { kind: "sender", contextId: 2 ** 32, handle: 1000 },
    { kind: "sender", contextId: 1, handle: 0 },
    { kind: "sender", contextId: 1, handle: 2 ** 32 },
  ];
  const tag = (reference: WireReference): Buffer => {
    // Written by hand, because the encoder would refuse to write them.
    const good: WireReference =
      reference.kind === "context"
        ? { ...reference, contextId: 1, name: "" }
        : { ...reference, contextId: 1, handle: 1 };
    const [first] = encodeValue(new Forged(good)) as [Uint8Array];
    const head = Buffer.from(first).subarray(0, first.length - 2);
    const second = reference.kind === "context" ? reference.name : reference.handle;
    return Buffer.concat([head, ...encodeValue(reference.contextId), ...encodeValue(second)]);
  };
  const longest: WireReference = { kind: "context", contextId: 1, name: "n".repeat(MAX_CONTEXT_NAME - 1) };
  assert.ok(decodeValue(tag(longest), { reviver: master }) instanceof Context);
  for (const reference of refused) {
    assert.throws(
      () => decodeValue(tag(reference), { reviver: master }),
      ProtocolError,
      JSON.stringify(reference),
    );
  }
});

test("Sender of a hostile peer cannot aim this context's authority at a standard handle", async () => {
  const { master, child } = masterAndChild();
  const receiver = new Receiver<Sender<unknown>>(master);
  const forger = new Sender<unknown>(child, 0, receiver.handle);
  for (const handle of [
    Handle.CALL_FUNCTION,
    Handle.SHUTDOWN,
    Handle.GET_MODULE,
    Handle.LOAD_RESOURCE,
    ...OF_ONE_PEER,
  ]) {
    await forger.send(new Forged({ kind: "sender", contextId: 1, handle }));
    const message = await receiver.get();
    assert.throws(() => message.decode(), {
      name: "ProtocolError",
      message: `Cannot decode sender: handle ${handle} is reserved`,
    });
  }
  await forger.send(new Forged({ kind: "sender", contextId: 1, handle: Handle.FIRST_REPLY - 1 }));
  assert.equal((await receiver.get()).decode().handle, Handle.FIRST_REPLY - 1);
});
