/** Counts: the recorded ones of a major of Node, and how far new ones may differ from them. */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { repoRoot } from "../support/lab.ts";

/** Counts by name: the operation, the place, and the unit, as in `call / program / promises`. */
export type Counts = Readonly<Record<string, number>>;

/** A count that grows by more fails the test. One that shrinks by more should be recorded. */
const MARGIN = 0.15;

/** By how much each kind of count may grow in any case, because any noise would be growth beside a recorded 0. */
const SLACK: Readonly<Record<string, number>> = {
  "heap bytes": 32,
  "buffer bytes": 16,
  promises: 0.1,
  "frames sent": 0.1,
  "frames received": 0.1,
  "system calls": 0.1,
  writes: 0.1,
  // On a busy machine, a thread finds two events with one wait more often. The record may come from one.
  "waits and wake-ups": 1,
  instructions: 0,
};

export interface Comparison {
  /** A line for each count that has grown, is not recorded, or is recorded and not found. */
  readonly grown: readonly string[];
  /** A line for each count that has shrunk. */
  readonly shrunk: readonly string[];
}

/** Leaves out counts for which `isKnown` returns false, because this machine cannot take them. */
export function compare(
  recorded: Counts,
  found: Counts,
  isKnown: (name: string) => boolean = () => true,
): Comparison {
  const grown: string[] = [];
  const shrunk: string[] = [];
  for (const name of new Set([...Object.keys(recorded), ...Object.keys(found)])) {
    if (!isKnown(name)) continue;
    const [then, now] = [recorded[name], found[name]];
    if (then === undefined) {
      // Few machines count instructions. The one that recorded may not.
      if (kindOf(name) !== "instructions") grown.push(`${name}: ${now}, not recorded`);
    } else if (now === undefined) grown.push(`${name}: not counted any more, recorded ${then}`);
    else {
      const slack = SLACK[kindOf(name)] ?? 0;
      const line = `${name}: ${now}, recorded ${then}`;
      if (!(now <= then * (1 + MARGIN) + slack)) grown.push(line);
      if (now < then * (1 - MARGIN) - slack) shrunk.push(line);
    }
  }
  return { grown, shrunk };
}

/** The last part of the name, such as `promises`. */
export function kindOf(name: string): string {
  return name.split(" / ").pop() as string;
}

/** Undefined if nothing is recorded for this major. */
export function readRecord(major: string): Counts | undefined {
  const file = fileOf(major);
  return existsSync(file) ? (JSON.parse(readFileSync(file, "utf8")) as Counts) : undefined;
}

/** Returns the path of the file. */
export function writeRecord(major: string, counts: Counts): string {
  const file = fileOf(major);
  writeFileSync(file, `${JSON.stringify(counts, null, 2)}\n`);
  return file;
}

function fileOf(major: string): string {
  return join(repoRoot, "tests/counts/recorded", `node-${major}.json`);
}
