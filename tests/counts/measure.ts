/** All counts of one Node. */
import { copyFileSync, mkdirSync, mkdtempSync, realpathSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type Counts, kindOf } from "./counts.ts";
import { countInstructions } from "./instructions.ts";
import { byTurns, NODE_FLAGS, programPath, run } from "./run.ts";
import { countSyscalls, KINDS, straceMissing } from "./syscalls.ts";

/** Every call names the module of its function, so its path must be equally long on every machine. */
const PATH_LENGTH = 80;

export interface Measured {
  readonly counts: Counts;
  /** The counts that this machine cannot take, and why. */
  readonly notes: readonly string[];
  /** Whether this machine can take the count of that name. */
  isKnown(name: string): boolean;
}

/** Takes every count that this machine can. */
export async function measure(node: string): Promise<Measured> {
  return await inFolder(async (folder, functions) => {
    const counts = { ...(await countCodec(node)), ...(await countCalls(node, functions)) };
    const notes: string[] = [];
    const unknown = new Set<string>();
    const reason = straceMissing();
    if (reason === false) Object.assign(counts, await countSyscalls(node, functions, folder));
    else {
      notes.push(`System calls are not counted: ${reason}`);
      for (const kind of KINDS) unknown.add(kind);
    }
    const instructions = await countInstructions(node, folder);
    if (typeof instructions === "number") counts["codec and routing / instructions"] = instructions;
    else {
      notes.push(instructions);
      unknown.add("instructions");
    }
    return { counts, notes, isKnown: (name) => !unknown.has(kindOf(name)) };
  });
}

/** Counts of calls that waste something: WASTES of calls-program.ts. */
export async function measureWasteful(node: string): Promise<Counts> {
  return await inFolder(async (folder, functions) => {
    const counts = await countCalls(node, functions, "wasteful-counts");
    if (straceMissing() !== false) return counts;
    return { ...counts, ...(await countSyscalls(node, functions, folder, "wasteful-marks")) };
  });
}

async function countCodec(node: string): Promise<Record<string, number>> {
  return JSON.parse(await run([node, ...NODE_FLAGS, programPath("codec-program")]));
}

async function countCalls(node: string, functions: string, what = "counts"): Promise<Record<string, number>> {
  const program = [node, ...NODE_FLAGS, programPath("calls-program"), functions, what];
  return JSON.parse(await run(byTurns(program)));
}

/** Gives `work` a temporary folder, and the path of a copy of functions.ts in it. */
async function inFolder<T>(work: (folder: string, functions: string) => Promise<T>): Promise<T> {
  const folder = realpathSync(mkdtempSync(join(tmpdir(), "mitogen-counts-")));
  try {
    const inner = join(folder, "x".repeat(Math.max(1, PATH_LENGTH - folder.length)));
    mkdirSync(inner);
    const functions = join(inner, "functions.mjs");
    copyFileSync(fileURLToPath(new URL("functions.js", import.meta.url)), functions);
    return await work(folder, functions);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
