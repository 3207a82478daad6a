/**
 * Counts what its thread allocates and how many promises it creates. `--require` loads it into every thread
 * of the measured processes: the program's, and both threads of a context. Nobody can call a broker thread,
 * so the main thread beside it asks it.
 */
import type { AsyncHook } from "node:async_hooks";
import type { GCProfiler } from "node:v8";

const { createHook } = require("node:async_hooks") as typeof import("node:async_hooks");
const { readlinkSync } = require("node:fs") as typeof import("node:fs");
const v8 = require("node:v8") as typeof import("node:v8");
const threads = require("node:worker_threads") as typeof import("node:worker_threads");

type Kind = "allocations" | "promises";
type Request = { readonly start: Kind } | "stop" | "id";
type Reading = Readonly<Record<string, number>>;

interface Probe {
  /** Of this thread. */
  own(request: Request): Reading;
  /** Of the broker thread beside this one. */
  broker(request: Request): Promise<Reading>;
}

let reading: (() => Reading) | undefined;

function own(request: Request): Reading {
  // The link ends with the kernel's id of this thread, which Node itself does not tell.
  if (request === "id") return { id: Number(readlinkSync("/proc/thread-self").split("/").pop()) };
  if (request !== "stop") {
    reading = request.start === "promises" ? countPromises() : countAllocations();
    return {};
  }
  const found = reading?.() ?? {};
  reading = undefined;
  return found;
}

function countPromises(): () => Reading {
  let promises = 0;
  const hook: AsyncHook = createHook({
    init(_id, type) {
      if (type === "PROMISE") promises++;
    },
  }).enable();
  return () => {
    hook.disable();
    return { promises };
  };
}

/** What was allocated is what the heap grew by, and what collections have freed meanwhile. */
function countAllocations(): () => Reading {
  globalThis.gc?.();
  const profiler: GCProfiler = new v8.GCProfiler();
  profiler.start();
  const before = used();
  return () => {
    const after = used();
    let heap = after.heap - before.heap;
    let buffers = after.buffers - before.buffers;
    for (const { beforeGC, afterGC } of profiler.stop()?.statistics ?? []) {
      heap += beforeGC.heapStatistics.usedHeapSize - afterGC.heapStatistics.usedHeapSize;
      buffers += beforeGC.heapStatistics.externalMemory - afterGC.heapStatistics.externalMemory;
    }
    return { "heap bytes": heap, "buffer bytes": buffers };
  };
}

/**
 * Small Buffers are slices of a pool. Its free rest is left out: otherwise a count would be off by up to a
 * whole pool.
 */
function used(): { heap: number; buffers: number } {
  const { used_heap_size: heap, external_memory: external } = v8.getHeapStatistics();
  const { buffer, byteOffset } = Buffer.allocUnsafe(1);
  return { heap, buffers: external - (buffer.byteLength - byteOffset) };
}

const channel = new threads.BroadcastChannel("mitogen counts");
channel.unref();
if (threads.isMainThread) {
  const probe: Probe = {
    own,
    broker: (request) =>
      new Promise((resolve) => {
        channel.onmessage = (event) => resolve((event as { data: Reading }).data);
        channel.postMessage(request);
      }),
  };
  Object.assign(globalThis, { [Symbol.for("mitogen.counts")]: probe });
} else {
  channel.onmessage = (event) => channel.postMessage(own((event as { data: Request }).data));
}

export type { Kind, Probe, Reading };
