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
/** How much each process may grow, in MiB. */
const MAX_GROWTH = 64;
/**
 * V8 collects what a reader drops. From Node 24 on it lets 64 MiB pile up before its first collection, with or
 * without this library (see the last test).
 */
const atProgram = Number.parseInt(process.versions.node, 10) < 24 ? MAX_GROWTH : 1.5 * MAX_GROWTH;
/** In milliseconds. An idle ping that is shorter counts as this long, because the machine's own delays prevail. */
const SHORT_PING = 10;
/** The size of the chunks of Node's file streams. */
const CHUNK_BYTES = 64 * 1024;
const HOUR_MS = 3_600_000;

// A little more than a process may grow; a full run moves much more.
const flowMiB = Number(process.env.MITOGEN_FLOW_MIB ?? (isFull ? 1024 : 72));
const fileMiB = Number(process.env.MITOGEN_FILE_MIB ?? (isFull ? 512 : 72));
const HOPS = isFull ? 2 : 1;
const isReporting = process.env.MITOGEN_BULK_REPORT === "1";
const options = { skip: noPeakMemory, timeout: HOUR_MS };

const thisNode = { name: "this Node", nodePath: undefined, share: 1, atTarget: MAX_GROWTH };
// Its garbage collector lets the heap grow by as much again.
const node12 = { name: "Node 12", nodePath: nodes[12], share: 0.25, atTarget: 2 * MAX_GROWTH };

for (const { name, nodePath, share, atTarget } of nodes[12] === undefined ? [thisNode] : [thisNode, node12]) {
  describe(`Bulk data through ${HOPS === 1 ? "one hop" : "two hops"}, with ${name}`, () => {
    let router: Router;
    let target: Context;
    let pids: number[];
    before(async () => {
      router = new Router();
      ({ target, pids } = await chain(router, nodePath));
    });
    after(() => router.shutdown());

    it(
      "from a producer far faster than its reader makes no process grow much, and lets pings pass",
      options,
      async () => {
        // Sends the code first, so that it is not measured.
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
        // Now and then the reader pauses, until all buffers on the way are full.
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
        // The goal in bench/README.md is ten times; a busy machine keeps to a hundred.
        assert.ok(whileFlowing < 100 * idle, says);
      },
    );

    it("of files, both ways, makes no process grow much, and the copies are exact", options, async (t) => {
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

if (isReporting) it("reports how much memory Buffers take that are not sent", reportBare);

/** For comparison: what Node itself needs for Buffers that are not sent. */
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
 * Reads `bytes` bytes from a producer in `target`, and returns how many came. Awaits `rest()` every 64 MiB.
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

/** Mostly holes, which take no room on the disk, but no two parts of it are the same. */
function makeFile(path: string, mebibytes: number): void {
  const fd = fs.openSync(path, "w", 0o640);
  for (let at = 0; at < mebibytes; at += 4) fs.writeSync(fd, randomBytes(1024), 0, 1024, at * MIB);
  fs.closeSync(fd);
  fs.truncateSync(path, mebibytes * MIB);
  if (process.geteuid?.() === 0) fs.chownSync(path, 1, 2);
  fs.utimesSync(path, 1000, 2000.5);
}

/** Runs another program, because this one's memory is being measured. */
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
