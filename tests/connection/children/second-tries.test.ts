import assert from "node:assert/strict";
import { test } from "node:test";
import { RunningConnect } from "../../../src/connection/children/running-connect.ts";
import {
  type EarlierTries,
  NodelessTargets,
  withSecondTries,
} from "../../../src/connection/children/second-tries.ts";
import { newConnectError } from "../../../src/connection/failures/new-connect-error.ts";
import { sshMethod } from "../../../src/connection/methods/ssh.ts";
import type { OpenProvisioner } from "../../../src/connection/runtime/plan.ts";
import { type ConnectCode, type ConnectStage, StreamError } from "../../../src/errors.ts";

const TARGET = { hostname: "web1", timeoutMs: 60_000 };

function failure(code: ConnectCode | undefined, stage: ConnectStage, stderr: string): Error {
  return newConnectError(
    { type: StreamError, code, message: "it failed", hint: "" },
    { stage, method: "ssh", argv: ["ssh"], exitCode: 255, signal: null, stderr, durationMs: 1, hint: "" },
  );
}

const TURNED_AWAY = "kex_exchange_identification: Connection closed by remote host";

/** Fails with the errors, one per try, then succeeds. Returns what each try knew. */
async function tries(
  errors: Error[],
  {
    nodeless = new NodelessTargets(),
    provisioner,
  }: { nodeless?: NodelessTargets; provisioner?: OpenProvisioner } = {},
): Promise<{ known: EarlierTries[]; outcome: unknown }> {
  const known: EarlierTries[] = [];
  const outcome: unknown = await withSecondTries(
    new RunningConnect("ssh"),
    sshMethod,
    TARGET,
    provisioner,
    nodeless,
    async (earlier) => {
      known.push(earlier);
      const error = errors[known.length - 1];
      if (error !== undefined) throw error;
      return "connected";
    },
  ).catch((error: unknown) => error);
  return { known, outcome };
}

const PROVISIONER = (async () => () => undefined) as unknown as OpenProvisioner;

test("withSecondTries: connects again if the target turned the tool away", async () => {
  const { known, outcome } = await tries([
    failure("ERR_REFUSED", "transport", TURNED_AWAY),
    failure("ERR_REFUSED", "transport", TURNED_AWAY),
  ]);
  assert.equal(outcome, "connected");
  assert.equal(known.length, 3);
  assert.equal(new Set(known.map(({ startedAt }) => startedAt)).size, 1, "all tries have one timeout");
});

test("withSecondTries: leaves every other failure to the caller", async () => {
  const error = failure("ERR_UNKNOWN_HOST", "transport", "ssh: Could not resolve hostname web1: unknown");
  const { known, outcome } = await tries([error]);
  assert.equal(outcome, error);
  assert.equal(known.length, 1);
});

test("withSecondTries: brings another node to a target with a useless one, and remembers the target", async () => {
  const nodeless = new NodelessTargets();
  const useless = failure("ERR_NODE_VERSION", "ready", "motd");
  const first = await tries([useless], { nodeless, provisioner: PROVISIONER });
  assert.equal(first.outcome, "connected");
  assert.deepEqual(
    first.known.map(({ isWithoutNode }) => isWithoutNode),
    [false, true],
  );
  const second = await tries([], { nodeless, provisioner: PROVISIONER });
  assert.deepEqual(
    second.known.map(({ isWithoutNode }) => isWithoutNode),
    [true],
  );
  assert.equal((await tries([useless])).outcome, useless, "without a provisioner");
});
