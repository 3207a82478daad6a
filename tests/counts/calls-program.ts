/**
 * node … calls-program.js <functions.mjs> <what>: makes calls to a context and through a hop.
 *   counts    prints allocations, promises and frames per call, by name
 *   marks     prints the ids of the threads, by name. Looks for a file that does not exist before and after each window of calls: strace
 *             shows that, and the system calls in between
 * `wasteful-counts` and `wasteful-marks` do so for calls to which WASTES adds something.
 */
import { existsSync, openSync, writeSync } from "node:fs";
import { pathToFileURL } from "node:url";
import { type Context, Router } from "../../src/index.ts";
import { hasShortWay, useShortWay } from "../support/short-way.ts";
import type { Kind, Reading } from "./probe.cts";
import { OPERATIONS, perOperation, WINDOWS } from "./windows.ts";

const BURST = 100;
const WARM_UP = 300;

type Functions = typeof import("./functions.ts");
const [path, what] = process.argv.slice(2) as [string, string];
const { noop, probe, startCounting, stopCounting, threadIds }: Functions = await import(
  pathToFileURL(path).href
);
const nothing = openSync("/dev/null", "w");
let kept: unknown;
/** Waste that the test must notice. */
const WASTES: Readonly<Record<string, (context: Context) => unknown>> = {
  "4 KiB": () => {
    kept = new Array(512).fill(kept === undefined);
  },
  "a promise": () => Promise.resolve(),
  "a frame": (context) => context.callNoReply(noop),
  "a write": () => writeSync(nothing, "x"),
};

interface Scenario {
  readonly name: string;
  readonly contexts: Readonly<Record<string, Context>>;
  /** Which threads are counted: `program`, and two of each context. */
  readonly threads: readonly string[];
  run(): Promise<void>;
}

await using router = new Router();
const scenarios = await start();
console.log(JSON.stringify(what.endsWith("marks") ? await mark() : await count()));

async function start(): Promise<Scenario[]> {
  // Off, as for a context on another machine.
  process.env["MITOGEN_SHORT_WAY"] = "off";
  const target = await warm();
  const ofTarget = { contexts: { target }, threads: ["program", "target, main thread", "target, broker"] };
  if (what.startsWith("wasteful")) {
    return Object.entries(WASTES).map(([name, waste]) => {
      return { name, ...ofTarget, run: () => sequential(target, OPERATIONS, waste) };
    });
  }
  const hop = await warm();
  const behind = await warm(hop);
  // Frames that pass through the hop do not reach its main thread.
  const ofHop = { contexts: { hop }, threads: ["hop, broker"] };
  process.env["MITOGEN_SHORT_WAY"] = "on";
  const near = await warm();
  await useShortWay(near);
  const ofNear = { contexts: { near }, threads: ["program", "near, main thread"] };
  return [
    { name: "call", ...ofTarget, run: () => sequential(target, OPERATIONS) },
    { name: "call of a burst", ...ofTarget, run: () => bursts(target, OPERATIONS) },
    { name: "call through a hop", ...ofHop, run: () => sequential(behind, OPERATIONS) },
    { name: "call by the short way", ...ofNear, run: () => sequential(near, OPERATIONS) },
  ];
}

async function warm(via?: Context): Promise<Context> {
  const context = await router.local({ nodePath: [process.execPath, ...process.execArgv], via });
  await sequential(context, WARM_UP);
  await bursts(context, WARM_UP);
  return context;
}

async function sequential(
  context: Context,
  calls: number,
  waste?: (context: Context) => unknown,
): Promise<void> {
  for (let call = 0; call < calls; call++) {
    waste?.(context);
    await context.call(noop);
  }
}

async function bursts(context: Context, calls: number): Promise<void> {
  for (let sent = 0; sent < calls; sent += BURST) {
    await Promise.all(Array.from({ length: BURST }, () => context.call(noop)));
  }
}

/** Each count is the least of its windows: noise only adds. */
async function count(): Promise<Reading> {
  const found: Record<string, number> = {};
  const note = (name: string, total: number): void => {
    found[name] = Math.min(found[name] ?? Number.POSITIVE_INFINITY, perOperation(name, total));
  };
  for (const scenario of scenarios) {
    for (let window = 0; window < WINDOWS; window++) {
      for (const kind of ["allocations", "promises"] as const) await countOnce(scenario, kind, note);
    }
  }
  return found;
}

async function countOnce(
  scenario: Scenario,
  kind: Kind,
  note: (name: string, total: number) => void,
): Promise<void> {
  const noteAll = (thread: string, reading: Reading): void => {
    if (!scenario.threads.includes(thread)) return;
    for (const name in reading) note(`${scenario.name} / ${thread} / ${name}`, reading[name] ?? 0);
  };
  const contexts = Object.entries(scenario.contexts);
  for (const [, context] of contexts) await context.call(startCounting, kind);
  const before = frames(scenario);
  probe().own({ start: kind });
  await scenario.run();
  const own = probe().own("stop");
  const after = frames(scenario);
  noteAll("program", own);
  // Frames that take the short way are in no count of frames.
  const isCounted = hasShortWay(contexts[0]?.[1] as Context) === false;
  for (const name in isCounted ? after : {})
    note(`${scenario.name} / ${name}`, (after[name] ?? 0) - (before[name] ?? 0));
  for (const [name, context] of contexts) {
    const [main, broker] = (await context.call(stopCounting)) as [Reading, Reading];
    noteAll(`${name}, main thread`, main);
    noteAll(`${name}, broker`, broker);
  }
}

/** The frames over the link to the first of its contexts, so far. */
function frames({ contexts }: Scenario): Reading {
  const [context] = Object.values(contexts) as [Context];
  const { messagesSent = 0, messagesReceived = 0 } = context.describe().link ?? {};
  return { "frames sent": messagesSent, "frames received": messagesReceived };
}

/** Runs the windows between their marks. Returns the kernel's ids of the threads, by name. */
async function mark(): Promise<Reading> {
  const found: Record<string, number> = {};
  for (const { name, contexts, threads, run } of scenarios) {
    for (let window = 0; window < WINDOWS; window++) {
      existsSync(`/mitogen-counts/begin/${name}`);
      await run();
      existsSync(`/mitogen-counts/end/${name}`);
    }
    const ids: Record<string, number> = { program: probe().own("id").id as number };
    for (const [context, of] of Object.entries(contexts)) {
      const [main, broker] = (await of.call(threadIds)) as [Reading, Reading];
      ids[`${context}, main thread`] = main.id as number;
      ids[`${context}, broker`] = broker.id as number;
    }
    for (const thread of threads) found[`${name} / ${thread}`] = ids[thread] as number;
  }
  return found;
}
