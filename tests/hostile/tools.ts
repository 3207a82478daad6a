/**
 * Tools that ask what no tool asks, in any order: real processes, on a terminal if the real tool has one.
 */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { EofError, PasswordError, Router, StreamError, TimeoutError } from "../../src/index.ts";
import { makeFakeTool, type Step } from "../support/fake-tool.ts";
import type { Random } from "../support/random.ts";
import { PIECES } from "./inputs.ts";

const PASSWORD = "hunter2-swordfish";
const TIMEOUT_MS = 4_000;
/** When a connect has failed, the tool is signalled and reaped within this time. */
const END_MS = 60_000;

/** Without the password, because text that a tool prints by itself is not hidden. */
const WORDS = PIECES.filter((words) => !words.includes(PASSWORD));

const TOOLS = [
  ["sudo", "sudoPath", {}],
  ["su", "suPath", {}],
  ["doas", "doasPath", {}],
  ["ssh", "sshPath", { hostname: "web1", checkHostKeys: "accept" }],
] as const;

/**
 * Connects through `count` tools. Throws an AssertionError if a connect does not end as promised, or a tool
 * learns too much.
 */
export async function tryTools(random: Random, count: number): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "mitogen-hostile-tools-"));
  const router = new Router();
  try {
    await Promise.all(Array.from({ length: count }, (_, at) => tryTool(router, random, folder, `tool${at}`)));
  } finally {
    await router.shutdown();
    rmSync(folder, { recursive: true });
  }
}

async function tryTool(router: Router, random: Random, folder: string, file: string): Promise<void> {
  const [name, path, options] = random.pick(TOOLS);
  const onTerminal = name === "doas" || name === "ssh";
  const steps = Array.from({ length: 2 + random.below(6) }, (): Step => {
    return random.chance(3) ? { expect: "" } : { say: random.pick(WORDS).slice(0, 200) };
  });
  const last: Step = random.chance(2) ? { exit: random.below(3) } : { wait: true };
  const tool = makeFakeTool(folder, file, [...steps, last], { onTerminal, pauseMs: 0 });
  const started = performance.now();
  const connect = router[name] as (options: object) => Promise<unknown>;
  const given = { ...options, [path]: tool.path, password: PASSWORD, timeoutMs: TIMEOUT_MS };
  const said = JSON.stringify({ name, steps, last });
  const error = await connect.call(router, given).then(
    () => assert.fail(`it connected: ${said}`),
    (reason: unknown) => reason,
  );
  const isExpected = [StreamError, EofError, PasswordError, TimeoutError].some(
    (type) => error instanceof type,
  );
  assert.ok(isExpected, `${said}: ${(error as Error)?.stack ?? error}`);
  assert.ok(performance.now() - started < TIMEOUT_MS + END_MS, said);
  assert.ok(!String((error as Error).stack).includes(PASSWORD), `the password is shown: ${said}`);
  assert.ok(tool.lines().filter((line) => line === PASSWORD).length <= tool.runs(), `typed twice: ${said}`);
}
