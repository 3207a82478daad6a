import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import * as fs from "node:fs";
import { join } from "node:path";
import { after, before, describe, it, type TestContext } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { type Context, getFile, putFile, Receiver, Router } from "../../src/index.ts";
import { processInfo } from "../fixtures/remote/process-info.ts";
import * as remote from "../fixtures/remote/streams.ts";
import { isFull, sampleOf } from "../support/extent.ts";
import { nodes } from "../support/lab.ts";
import { checkLeaks } from "../support/leak-check.ts";
import { noPeakMemory, PeakMemory } from "../support/peak-memory.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

checkLeaks({ ignoreCommand: /esbuild/ });

const MIB = 1024 * 1024;
/** What each process may grow by, in MiB. */
const MAX_GROWTH = 64;
/**
 * What a reader drops is V8's to collect: from Node 24 on it lets 64 MiB die before it looks for the first
 * time, with or without us (see the last test).
 */
const atProgram = Number.parseInt(process.versions.node, 10) < 24 ? MAX_GROWTH : 1.5 * MAX_GROWTH;
/**
 * Where a ping takes less than this many milliseconds, how much longer others take is the machine's business.
 */
const SHORT_PING = 10;
/** As much as Node's own streams of files yield at once. */
const CHUNK_BYTES = 64 * 1024;
const HOUR_MS = 3_600_000;

// More than a process may grow by; CI moves much more.
const flowMiB = Number(process.env.MITOGEN_FLOW_MIB ?? (isFull ? 1024 : 72));
const fileMiB = Number(process.env.MITOGEN_FILE_MIB ?? (isFull ? 512 : 72));
const HOPS = isFull ? 2 : 1;
const isReporting = process.env.MITOGEN_BULK_REPORT === "1";
const options = { skip: noPeakMemory, timeout: HOUR_MS };

const thisNode = { name: "this Node", nodePath: undefined, share: 1, atTarget: MAX_GROWTH };
// Its collector lets its own heap grow by as much again.
const node12 = { name: "Node 12", nodePath: nodes[12], share: 0.25, atTarget: 2 * MAX_GROWTH };

for (const { name, nodePath, share, atTarget } of nodes[12] === undefined ? [thisNode] : [thisNode, node12]) {
  describe(`Bulk through ${HOPS === 1 ? "one hop" : "two hops"}, of ${name}`, () => {
    let router: Router;
    let target: Context;
    let pids: number[];
    before(async () => {
      router = new Router();
      ({ target, pids } = await chain(router, nodePath));
    });
    after(() => router.shutdown());

    it(
      "from a producer far faster than its reader: no process grows much, and pings pass",
      options,
      async () => {
        // The code first: what that takes is not what is measured.
        assert.equal(await readAll(router, target, CHUNK_BYTES), CHUNK_BYTES);
        let idle = median(await pings(target, 100));
        const memory = new PeakMemory(pids);
        const bytes = flowMiB * share * MIB;
        const held: number[] = [];
        const flowing: number[] = [];
        let isOver = false;
        const pinging = (async () => {
          for (; !isOver; await pause(20)) flowing.push(await target.ping());
        })();
        const start = performance.now();
        // Now and then the reader takes its time, and all there is room for on the way is full.
        const rest = async () => held.push(...(await pings(target, 3)));
        const read = await readAll(router, target, bytes, rest).finally(() => {
          isOver = true;
        });
        const ms = performance.now() - start;
        const growth = memory.growth();
        await pinging;
        assert.equal(read, bytes);
        idle = Math.max(idle, median(await pings(target, 100)));
        const [whileHeld, whileFlowing] = [median(held), median(flowing)];
        const times = [idle, whileHeld, whileFlowing].map((each) => each.toFixed(2));
        report(`stream of ${bytes / MIB} MiB`, ms, bytes, growth, `; ping: ${times.join(", ")} ms`);
        checkGrowth(growth, [atProgram, ...Array(HOPS).fill(MAX_GROWTH), atTarget]);
        const says = `a ping took ${times.join(", ")} ms: idle, with all links full, with all of them busy`;
        assert.ok(whileHeld < 10 * Math.max(idle, SHORT_PING), says);
        // Ten times is the goal, in bench/README.md; a machine that has other things to do keeps a hundred.
        assert.ok(whileFlowing < 100 * idle, says);
      },
    );

    it("of files, both ways: no process grows much, and the copies are true", options, async (t) => {
      const folder = temporaryFolder(t as TestContext);
      const at = (file: string): string => join(folder, file);
      await putFile(target, at("put"), Buffer.from("x"));
      await getFile(target, at("put"), at("got"));
      makeFile(at("source"), fileMiB * share);
      const sha256 = digestOf(at("source"));
      const ways = [
        ["put", () => putFile(target, at("put"), at("source"))],
        ["got", () => getFile(target, at("put"), at("got"))],
      ] as const;
      for (const [copy, transfer] of sampleOf(2, ways)) {
        const memory = new PeakMemory(pids);
        const start = performance.now();
        const done = await transfer();
        const ms = performance.now() - start;
        const growth = memory.growth();
        assert.deepEqual(done, { bytes: fileMiB * share * MIB, sha256, resumedAt: 0 });
        report(`file of ${done.bytes / MIB} MiB, ${copy}`, ms, done.bytes, growth);
        checkGrowth(growth, [MAX_GROWTH, MAX_GROWTH, MAX_GROWTH, atTarget]);
        assert.equal(digestOf(at(copy)), sha256);
        assert.deepEqual(metadataOf(at(copy)), metadataOf(at("source")));
      }
    });
  });
}

if (isReporting) it("Buffers that nobody sends take this", reportBare);

/** What Node itself takes for Buffers that nobody sends, to compare. */
async function reportBare(): Promise<void> {
  await using router = new Router();
  const child = await router.local();
  const [pid] = await child.call(processInfo);
  for (const bytes of [CHUNK_BYTES, 4 * CHUNK_BYTES, MIB]) {
    const memory = new PeakMemory([pid]);
    await child.call(remote.makeBuffers, (1024 * MIB) / bytes, bytes);
    console.log(
      `1024 MiB of Buffers of ${bytes / 1024} KiB, made and dropped: grown by ${memory.growth()} MiB`,
    );
  }
}

async function chain(
  router: Router,
  nodePath: string | undefined,
): Promise<{ target: Context; pids: number[] }> {
  const hops: Context[] = [];
  for (let i = 0; i < HOPS; i++) hops.push(await router.local({ via: hops.at(-1) }));
  const target = await router.local({ via: hops.at(-1), ...(nodePath !== undefined && { nodePath }) });
  const infos = await Promise.all([...hops, target].map((each) => each.call(processInfo)));
  return { target, pids: [process.pid, ...infos.map(([pid]) => pid)] };
}

/**
 * Reads so many bytes of a producer in `target`, and how many came; `rest` is called, and awaited, for every
 * 64 MiB.
 */
async function readAll(
  router: Router,
  target: Context,
  bytes: number,
  rest: () => unknown = () => undefined,
): Promise<number> {
  const receiver = new Receiver<Uint8Array>(router);
  const producing = target.call(remote.produce, receiver.toSender(), bytes / CHUNK_BYTES, CHUNK_BYTES);
  let read = 0;
  for await (const message of receiver) {
    if (read % (64 * MIB) === 0) await rest();
    read += message.decode().length;
  }
  await producing;
  return read;
}

/** Mostly holes, which cost no disk, but no two parts of it are the same. */
function makeFile(path: string, mebibytes: number): void {
  const fd = fs.openSync(path, "w", 0o640);
  for (let at = 0; at < mebibytes; at += 4) fs.writeSync(fd, randomBytes(1024), 0, 1024, at * MIB);
  fs.closeSync(fd);
  fs.truncateSync(path, mebibytes * MIB);
  if (process.geteuid?.() === 0) fs.chownSync(path, 1, 2);
  fs.utimesSync(path, 1000, 2000.5);
}

/** By another program: this one's memory is being looked at. */
function digestOf(path: string): string {
  return execFileSync("sha256sum", [path], { encoding: "utf8" }).slice(0, 64);
}

function metadataOf(path: string): unknown {
  const { size, mode, uid, gid, mtimeMs } = fs.statSync(path);
  return { size, mode, uid, gid, mtimeMs: Math.round(mtimeMs) };
}

function checkGrowth(growth: readonly number[], most: readonly number[]): void {
  const isSmall = growth.every((each, i) => each < (most[i] as number));
  assert.ok(isSmall, `from the program down they grew by ${growth.join(", ")} MiB, of ${most.join(", ")}`);
}

function report(what: string, ms: number, bytes: number, growth: readonly number[], more = ""): void {
  if (!isReporting) return;
  const rate = Math.round(bytes / MIB / (ms / 1000));
  console.log(`${what}: ${rate} MiB/s, from the program down grown by ${growth.join(", ")} MiB${more}`);
}

async function pings(context: Context, count: number): Promise<number[]> {
  const times: number[] = [];
  for (let i = 0; i < count; i++) times.push(await context.ping());
  return times;
}

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[values.length >> 1] ?? Number.NaN;
}
