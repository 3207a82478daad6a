import { createHash, randomBytes } from "node:crypto";
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import type { HostStatus } from "../fleet/result.ts";
import { isOptions } from "../options/options.ts";
import { UsageError } from "./usage-error.ts";

/** Results are kept for this many folders; the oldest are removed. */
const MAX_KEPT = 200;
const PREFIX = "last-";

/** The part of a run that is kept for `--rerun failed`. */
export interface LastRun {
  readonly on: readonly string[];
  readonly results: Readonly<Record<string, HostStatus>>;
}

/** Where this program keeps what it remembers. */
function stateFolder(): string {
  const base = process.env["XDG_STATE_HOME"];
  return join(base?.startsWith("/") ? base : join(homedir(), ".local/state"), "mitogen");
}

/** Each working folder has its own last run. */
function fileOf(folder: string): string {
  return `${PREFIX}${createHash("sha256").update(folder).digest("hex").slice(0, 32)}.json`;
}

/** Stores a run. If the disk is full or read-only, nothing is stored, and nothing else fails. */
export function saveLastRun(run: LastRun, folder: string = process.cwd()): void {
  const state = stateFolder();
  try {
    mkdirSync(state, { recursive: true, mode: 0o700 });
    const temporary = join(state, `.${randomBytes(8).toString("hex")}`);
    try {
      writeFileSync(temporary, JSON.stringify(run), { mode: 0o600, flag: "wx" });
      renameSync(temporary, join(state, fileOf(folder)));
    } finally {
      rmSync(temporary, { force: true });
    }
    forgetOldest(state);
  } catch {
    // Then there is no last run, and --rerun says so.
  }
}

/** The last run of this folder. Throws a UsageError if there is none. */
export function readLastRun(folder: string = process.cwd()): LastRun {
  const path = join(stateFolder(), fileOf(folder));
  try {
    const run: unknown = statSync(path).isFile() ? JSON.parse(readFileSync(path, "utf8")) : undefined;
    if (isLastRun(run)) return run;
  } catch {
    // As if there were none.
  }
  throw new UsageError(`--rerun: no earlier run or exec in ${folder} is known`);
}

function isLastRun(value: unknown): value is LastRun {
  const { on, results } = Object(value) as { on?: unknown; results?: unknown };
  return (
    isOptions(results) && Array.isArray(on) && on.length > 0 && on.every((each) => typeof each === "string")
  );
}

function forgetOldest(state: string): void {
  const files = readdirSync(state).filter((name) => name.startsWith(PREFIX));
  if (files.length <= MAX_KEPT) return;
  const aged = files.map((name) => ({ path: join(state, name), age: statSync(join(state, name)).mtimeMs }));
  aged.sort((a, b) => a.age - b.age);
  for (const { path } of aged.slice(0, files.length - MAX_KEPT)) rmSync(path, { force: true });
}
