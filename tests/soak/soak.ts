/** Checks that repeated work leaves heap, descriptors, timers and listeners where they were. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as v8 from "node:v8";
import * as vm from "node:vm";
import { type Context, Router } from "../../src/index.ts";
import * as remote from "../fixtures/remote/functions.ts";
import { descendants } from "../support/leak-check.ts";
import { fdCountOf, memoryOf } from "../support/process-watch.ts";
import type { Kind } from "./kinds.ts";
import { Stage } from "./stage.ts";

v8.setFlagsFromString("--expose-gc");
const gc = vm.runInNewContext("gc") as () => void;

/** The number of samples; a short form takes fewer. The first third warms up what is meant to stay. */
const SAMPLES = 12;
/**
 * What one piece of work may leave on average: less than the smallest object, or a place in a table, takes.
 */
const HEAP_BYTES_EACH = 4;
/** By how much the heap may grow in any case: code that is compiled anew, and the like. */
const HEAP_NOISE_BYTES = 1024 * 1024;
/**
 * By how much the memory of a process may grow beside its heap: other threads, and memory that the allocator keeps
 * for a while.
 */
const MEMORY_NOISE_BYTES = 32 * 1024 * 1024;
/** A slope counts if it is at least so many times its standard error. */
const CLEARLY = 3;
/** By how much counted things may grow in any case. */
const COUNT_NOISE = 3;

export interface Measured {
  readonly heap: number;
  /** The heap of the context that is called. */
  readonly heapThere: number;
  /** All memory of the process: also memory outside of the heap, and the heap of a broker thread. */
  readonly memory: number;
  readonly memoryThere: number;
  readonly descriptors: number;
  readonly processes: number;
  readonly timers: number;
  readonly others: number;
  readonly listeners: number;
  readonly handlers: number;
}

export interface Slope {
  readonly what: keyof Measured;
  /** What one piece of work left on average, and `total` what all together left. */
  readonly each: number;
  readonly total: number;
  readonly isFlat: boolean;
}

export interface Result {
  readonly name: string;
  readonly count: number;
  readonly slopes: readonly Slope[];
}

/** Does one kind of work `count` times. `isOver` ends it earlier, when it has seen enough. */
export async function soak(
  kind: Kind,
  count: number,
  { samples = SAMPLES, isOver = () => false }: { samples?: number; isOver?: () => boolean } = {},
): Promise<Result> {
  const folder = mkdtempSync(join(tmpdir(), "mitogen-soak-"));
  const router = new Router();
  try {
    const context = await router.local();
    const stage = new Stage(router, context, folder);
    const pid = await context.call(remote.pid);
    writeFileSync(join(folder, "source"), "x");
    const perSample = Math.max(1, Math.floor(count / samples));
    const batches = Math.ceil(perSample / (kind.batch ?? 1));
    const points: { readonly done: number; readonly measured: Measured }[] = [];
    let done = 0;
    for (let sample = 0; sample < samples; sample++) {
      await inLanes(kind.atOnce, batches, () => kind.once(stage));
      done += batches * (kind.batch ?? 1);
      if (sample >= samples / 3) points.push({ done, measured: await measure(router, context, pid) });
      if (isOver() && points.length > 2) break;
    }
    return { name: kind.name, count: done, slopes: slopesOf(points) };
  } finally {
    await router.shutdown();
    rmSync(folder, { recursive: true, force: true });
  }
}

function slopesOf(points: readonly { readonly done: number; readonly measured: Measured }[]): Slope[] {
  const names = Object.keys(points[0]?.measured ?? {}) as (keyof Measured)[];
  const span = (points.at(-1)?.done ?? 0) - (points[0]?.done ?? 0);
  return names.map((what) => {
    const { each, error } = slope(points.map(({ done, measured }) => [done, measured[what]]));
    const total = each * span;
    const [noise, least] = limitsOf(what);
    return { what, each, total, isFlat: total < noise || each < least || each < CLEARLY * error };
  });
}

/** What all together may leave, and what one may leave. */
function limitsOf(what: keyof Measured): [noise: number, least: number] {
  if (what.startsWith("heap")) return [HEAP_NOISE_BYTES, HEAP_BYTES_EACH];
  return what.startsWith("memory") ? [MEMORY_NOISE_BYTES, HEAP_BYTES_EACH] : [COUNT_NOISE, 0];
}

/** The slope of the line that is nearest to all points, by least squares, with its standard error. */
function slope(points: readonly (readonly [number, number])[]): { each: number; error: number } {
  const mean = (at: 0 | 1): number => points.reduce((sum, point) => sum + point[at], 0) / points.length;
  const [x, y] = [mean(0), mean(1)];
  const above = points.reduce((sum, point) => sum + (point[0] - x) * (point[1] - y), 0);
  const spread = points.reduce((sum, point) => sum + (point[0] - x) ** 2, 0);
  const each = above / spread;
  const rest = points.reduce((sum, point) => sum + (point[1] - y - each * (point[0] - x)) ** 2, 0);
  return { each, error: Math.sqrt(rest / Math.max(1, points.length - 2) / spread) };
}

async function measure(router: Router, context: Context, pid: number): Promise<Measured> {
  // Closed things are gone a turn or two later.
  await context.ping();
  for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setTimeout(resolve, 20));
  const heapThere = await context.call(remote.heapAfterCollection);
  const resources = process.getActiveResourcesInfo();
  const timers = resources.filter((name) => name === "Timeout").length;
  gc();
  gc();
  return {
    heap: process.memoryUsage().heapUsed,
    heapThere,
    memory: memoryOf("self"),
    memoryThere: memoryOf(pid),
    descriptors: fdCountOf("self"),
    processes: descendants(process.pid).length,
    timers,
    others: resources.length - timers,
    listeners: process.eventNames().reduce((sum, name) => sum + process.listenerCount(name), 0),
    handlers: router.handlers.size,
  };
}

async function inLanes(lanes: number, count: number, once: () => Promise<unknown>): Promise<void> {
  let left = count;
  const lane = async (): Promise<void> => {
    while (left-- > 0) await once();
  };
  await Promise.all(Array.from({ length: Math.min(lanes, count) }, lane));
}
