import assert from "node:assert/strict";
import { test } from "node:test";
import { connectErrorOf, recordOfConnectError } from "../../src/connection/connect-error.ts";
import {
  CancelledError,
  EofError,
  HostKeyError,
  PasswordError,
  StreamError,
  TimeoutError,
} from "../../src/errors.ts";
import { thrown } from "../fixtures/remote/oddities.ts";

/** Decoded, it is what a hop may send. */
const NO_TEXT = { toString: 1, valueOf: 2 };

test("connectErrorOf gives an error of a hop its class, its text and its details back (BEC-13)", () => {
  for (const type of [StreamError, EofError, CancelledError, PasswordError, HostKeyError, TimeoutError]) {
    const details = { stage: "transport", stderr: "said" };
    const error = connectErrorOf(
      recordOfConnectError(Object.assign(new type("it failed"), { details })),
      "ssh.web1",
    );
    assert.equal(error.constructor, type);
    assert.equal(error.message, "ssh.web1: it failed");
    assert.deepEqual((error as Error & { details?: object }).details, details);
  }
});

test("connectErrorOf makes a StreamError of any other error", () => {
  const error = connectErrorOf(recordOfConnectError(new TypeError("sudo() has no option")), "ssh.web1");
  assert.ok(error instanceof StreamError);
  assert.equal(error.message, "ssh.web1: sudo() has no option");
  assert.equal("details" in error, false);
});

test("connectErrorOf survives what a hop should not send", () => {
  for (const record of [undefined, null, 7, "x", [], [1, 2, 3], ["__proto__", {}, "x"], ["x", NO_TEXT], {}]) {
    assert.ok(connectErrorOf(record, "ssh.web1") instanceof StreamError);
  }
  assert.ok(connectErrorOf(["EofError", "x".repeat(1 << 20), null], "web1").message.length < 100_000);
});

test("recordOfConnectError has a record for anything that a password function throws", () => {
  for (const [name, make] of Object.entries(thrown)) {
    const [type, message, details] = recordOfConnectError(make());
    assert.deepEqual([typeof type, typeof message, details], ["string", "string", null], name);
  }
});
