/**
 * Kills or stops any process of a tree, or cuts a link, and looks at the result. `npm run chaos` does so for as long
 * as wanted.
 */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { before, describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { isFull, isQuick } from "../support/extent.ts";
import { checkLeaks } from "../support/leak-check.ts";
import type { Played } from "./main.ts";
import { ACTIONS } from "./plan.ts";

checkLeaks();

/** A seed whose 30 rounds meet nearly every victim with nearly every action. */
const SEED = Number(process.env.MITOGEN_CHAOS_SEED ?? 20_247_074);
/** The first six rounds meet every action, the first eleven every operation. */
const ROUNDS = isFull ? 30 : isQuick ? 3 : 6;

describe(`${ROUNDS} rounds of chaos, seed ${SEED}: waits end and nothing is left`, {
  timeout: 600_000,
}, () => {
  let played: readonly Played[] = [];
  let stderr = "";
  before(async () => {
    const main = fileURLToPath(new URL("main.js", import.meta.url));
    const { NODE_TEST_CONTEXT: _, ...env } = process.env;
    const args = [main, "--json", "--seed", String(SEED), "--rounds", String(ROUNDS)];
    const child = spawn(process.execPath, args, { env, stdio: ["ignore", "pipe", "pipe"] });
    let stdout = "";
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      stdout += text;
    });
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      stderr += text;
    });
    await new Promise((resolve) => child.once("close", resolve));
    played = JSON.parse(stdout || "[]") as Played[];
  });
  it("are played", () => {
    assert.equal(played.filter(({ round }) => round >= 0).length, ROUNDS, stderr);
  });
  for (const action of ACTIONS.slice(0, ROUNDS)) {
    it(action, () => {
      const broken = played.filter(
        (each) => each.plan.action === action && each.round >= 0 && each.broken.length > 0,
      );
      assert.deepEqual(broken, []);
    });
  }
  it("and at the end the process table is empty", () => {
    assert.deepEqual(
      played.filter(({ round }) => round < 0).flatMap(({ broken }) => broken),
      [],
    );
  });
});
