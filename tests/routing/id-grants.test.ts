import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { FrameRouter } from "../../src/routing/frame-router.ts";
import { IdGrants } from "../../src/routing/id-grants.ts";
import type { Peer } from "../../src/routing/peer.ts";
import { encodeValue } from "../../src/wire/cbor/encoder.ts";
import { Encoding, type Frame } from "../../src/wire/frame.ts";
import { Handle } from "../../src/wire/handles.ts";
import { FakeLink } from "../support/fake-link.ts";

function hop(): { grants: IdGrants; parent: Peer; inner: Peer; left: Peer; right: Peer } {
  const router = new FrameRouter({ contextId: 1, parentIds: [0] });
  const parent = router.attach(new FakeLink("parent"), 0, "parent");
  const inner = router.attach(new FakeLink("inner"), 1, "inner");
  const left = router.attach(new FakeLink("left"), 2, "child");
  const right = router.attach(new FakeLink("right"), 3, "child");
  return { grants: new IdGrants(router), parent, inner, left, right };
}

function frame(fields: Partial<Frame>, value: unknown): Frame {
  const plain = { encoding: Encoding.CBOR, dstId: 2, srcId: 0, authId: 0, handle: 1000, replyTo: 0 };
  return { ...plain, ...fields, body: encodeValue(value) };
}

const request = (contextId: number): unknown => ["local", {}, { contextId, remoteName: "x", logLevel: 3 }, 0];
const connect = (contextId: number): Frame => frame({ handle: Handle.CONNECT_CHILD }, request(contextId));
const answer = (block: unknown): Frame => frame({ replyTo: Handle.ALLOCATE_ID }, block);

describe("IdGrants", () => {
  it("allows an id once, behind the neighbour that was asked to start the context", () => {
    for (const from of ["parent", "inner"] as const) {
      const { grants, left, right, ...peers } = hop();
      assert.equal(grants.note(connect(50), peers[from]), 50);
      assert.ok(!grants.mayClaim(50, right));
      assert.ok(!grants.mayClaim(51, left));
      assert.ok(grants.mayClaim(50, left));
      assert.ok(!grants.mayClaim(50, left), "ids are not used again");
    }
  });
  it("allows the ids of a block behind the neighbour that the master's reply went to", () => {
    const { grants, parent, left, right } = hop();
    grants.note(answer([100, 200]), parent);
    assert.deepEqual(
      [99, 100, 199, 200].map((id) => grants.mayClaim(id, left)),
      [false, true, true, false],
    );
    assert.ok(!grants.mayClaim(150, right));
  });
  it("ignores requests, replies and forgeries of them that come from a child", () => {
    const { grants, parent, left, right } = hop();
    // A child could send such a request to another child only to give itself an id.
    assert.equal(grants.note({ ...connect(50), dstId: 2, srcId: 3, authId: 3 }, right), undefined);
    grants.note({ ...answer([100, 200]), srcId: 3, authId: 3 }, right);
    // A reply of another context, and a reply of the master to another request.
    grants.note({ ...answer([100, 200]), srcId: 7, authId: 7 }, parent);
    grants.note(frame({ replyTo: 0 }, [100, 200]), parent);
    for (const id of [50, 100, 150]) assert.ok(!grants.mayClaim(id, left), String(id));
  });
  it("survives malformed messages", () => {
    const { grants, parent, left } = hop();
    for (const value of [null, [], ["local", {}], ["a", 2], "x"]) {
      grants.note(frame({ handle: Handle.CONNECT_CHILD }, value), parent);
      grants.note(answer(value), parent);
    }
    assert.ok(!grants.mayClaim(1, left));
  });
});
