import assert from "node:assert/strict";
import { deadReason } from "../../src/core/message.ts";
import { FrameRouter } from "../../src/routing/frame-router.ts";
import type { FrameHandlerOptions } from "../../src/routing/handler-table.ts";
import { encodeValue } from "../../src/wire/cbor/encoder.ts";
import { Encoding, type Frame } from "../../src/wire/frame.ts";
import { Handle } from "../../src/wire/handles.ts";
import { FakeLink } from "../support/fake-link.ts";

export const MAX_BYTES = 100;

interface RouterOptions {
  readonly unidirectional?: boolean;
}
/** A router and its links, by name. */
type Routed<Names extends string> = { readonly router: FrameRouter } & Record<Names, FakeLink>;

/** The middle of a tree: context 5, with the parents 2 and 0, and the children 6 and 7. */
export function middle(options: RouterOptions = {}): Routed<"parent" | "six" | "seven"> {
  const router = new FrameRouter({ contextId: 5, parentIds: [2, 0], maxMessageBytes: MAX_BYTES, ...options });
  const links = { parent: new FakeLink("parent"), six: new FakeLink("six"), seven: new FakeLink("seven") };
  router.attach(links.parent, 2, "parent");
  router.attach(links.six, 6, "child");
  router.attach(links.seven, 7, "child");
  return { router, ...links };
}

/** The top of a tree, with children 1 and 2. */
export function top(options: RouterOptions = {}): Routed<"one" | "two"> {
  const router = new FrameRouter({ contextId: 0, maxMessageBytes: MAX_BYTES, ...options });
  const links = { one: new FakeLink("one"), two: new FakeLink("two") };
  router.attach(links.one, 1, "child");
  router.attach(links.two, 2, "child");
  return { router, ...links };
}

export function frame(change: Partial<Frame>): Frame {
  const srcId = change.srcId ?? 0;
  return {
    encoding: Encoding.RAW,
    dstId: 0,
    srcId,
    authId: srcId,
    handle: 2000,
    replyTo: 0,
    body: [Buffer.from("x")],
    ...change,
  };
}

export const dead = (change: Partial<Frame>, reason = "gone"): Frame =>
  frame({ encoding: Encoding.CBOR, replyTo: Handle.IS_DEAD, body: encodeValue(reason), ...change });

/** A handler that keeps what it gets. */
export function listen(
  router: FrameRouter,
  options: FrameHandlerOptions = {},
): { frames: Frame[]; handle: number } {
  const frames: Frame[] = [];
  return { frames, handle: router.listen((each) => frames.push(each), options) };
}

/** Asserts that `link` was sent one dead message to `dstId:handle` and nothing else. Returns its reason. */
export function deadSentTo(link: FakeLink, dstId: number, handle: number): string {
  assert.equal(link.sent.length, 1, `${link.name} was sent ${link.sent.length} frames`);
  const [answer] = link.sent as [Frame];
  assert.deepEqual([answer.dstId, answer.handle, answer.replyTo], [dstId, handle, Handle.IS_DEAD]);
  return deadReason(answer);
}
