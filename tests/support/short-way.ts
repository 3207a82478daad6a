import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import type { Context, Router } from "../../src/index.ts";
import * as remote from "../fixtures/remote/functions.ts";

/**
 * More calls than a context gets before it is offered a short way, and more than follow a call that had to take
 * the long way.
 */
const WARM_CALLS = 30;
/** How long a busy machine may take. */
const PATIENCE_MS = 15_000;

/** A context `depth` processes below this program, all of them local. */
export async function nest(
  router: Router,
  depth: number,
  options: { nodePath?: string } = {},
): Promise<Context> {
  let context: Context | undefined;
  for (let level = 0; level < depth; level++) {
    context = await router.local(context === undefined ? options : { ...options, via: context });
  }
  return context as Context;
}

export function hasShortWay(context: Context): boolean {
  return context.describe().link?.shortWay !== undefined;
}

/** Calls a context until its calls take the short way. */
export async function useShortWay(context: Context): Promise<void> {
  const deadline = Date.now() + PATIENCE_MS;
  for (let calls = 0; calls < WARM_CALLS || !hasShortWay(context); calls++) {
    assert.ok(Date.now() < deadline, "there is no short way");
    await context.call(remote.add, 1, 2);
  }
  const sent = (): number => context.describe().link?.shortWay?.bytesSent ?? 0;
  const before = sent();
  while (sent() === before) {
    assert.ok(Date.now() < deadline, "the short way is not taken");
    await context.call(remote.add, 1, 2);
  }
}

export type Offer = [path: string, hello: Buffer, proof: Buffer];

/** The offer of a short way that this program makes to a context. With `isKept`, it does not reach the context. */
export async function offerTo(context: Context, isKept: boolean): Promise<Offer> {
  let offer: Offer | undefined;
  const { callNoReply } = context;
  context.callNoReply = (...call: unknown[]) => {
    offer = call.slice(1) as Offer;
    if (!isKept) Reflect.apply(callNoReply, context, call);
  };
  while (offer === undefined) await context.call(remote.add, 1, 2);
  return offer;
}

/** Opens `count` connections at once while this program's thread is blocked. Returns the codes of those that fail. */
export function crowd(path: string, count: number): string[] {
  const script = `const net = require("net");
let left = ${count};
const done = (what) => { console.log(what); if (--left === 0) process.exit(); };
for (let i = 0; i < ${count}; i++) net.connect(process.argv[1], () => done("")).on("error", ({ code }) => done(code));`;
  const { stdout } = spawnSync(process.execPath, ["-e", script, path], { encoding: "utf8" });
  const said = stdout.split("\n").slice(0, -1);
  assert.equal(said.length, count);
  return said.filter((each) => each !== "");
}

export interface Stranger {
  readonly socket: Socket;
  heard(): Buffer;
  readonly ended: Promise<unknown>;
}

/** Connects to a socket, and collects the bytes that arrive. */
export async function stranger(path: string): Promise<Stranger> {
  const socket = connect(path);
  let heard = Buffer.alloc(0);
  socket.on("data", (chunk: Buffer) => {
    heard = Buffer.concat([heard, chunk]);
  });
  socket.on("error", () => undefined);
  const ended = new Promise((resolve) => socket.on("close", resolve));
  await once(socket, "connect");
  return { socket, heard: () => heard, ended };
}

/** Connects with the context's own offer, so that this program takes the connection for the context. */
export async function impostor([path, hello, proof]: Offer): Promise<Stranger> {
  const found = await stranger(path);
  found.socket.write(hello);
  while (found.heard().length < proof.length) await once(found.socket, "data");
  assert.deepEqual(found.heard().subarray(0, proof.length), proof);
  return found;
}
