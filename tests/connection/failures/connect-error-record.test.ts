import assert from "node:assert/strict";
import { test } from "node:test";
import {
  connectErrorOf,
  recordOfConnectError,
} from "../../../src/connection/failures/connect-error-record.ts";
import { newConnectError } from "../../../src/connection/failures/new-connect-error.ts";
import {
  CancelledError,
  type ConnectDetails,
  EofError,
  HostKeyError,
  PasswordError,
  StreamError,
  TimeoutError,
} from "../../../src/errors.ts";
import { thrown } from "../../fixtures/remote/oddities.ts";

type Failed = StreamError & { details: ConnectDetails };

const KNOWN = {
  stage: "transport" as const,
  method: "sudo",
  argv: ["sudo", "-u", "a b"],
  exitCode: 1,
  signal: null,
  stderr: "said",
  durationMs: 5,
  hint: "",
  platform: "linux",
};

/** A decoded value that a hop may send, and that cannot be turned into text. */
const NO_TEXT = { toString: 1, valueOf: 2 };

test("connectErrorOf restores the class, the text and the details of a hop's error", () => {
  for (const type of [StreamError, EofError, CancelledError, PasswordError, HostKeyError, TimeoutError]) {
    const sent = newConnectError({ type, message: "it failed", hint: "mend it" }, KNOWN);
    const error = connectErrorOf(recordOfConnectError(sent), "ssh.web1") as Failed;
    assert.equal(error.constructor, type);
    assert.equal(error.code, (sent as Failed).code);
    assert.equal(error.message, "ssh.web1: Cannot connect with sudo(): it failed; mend it\nsaid");
    assert.equal(error.summary, "ssh.web1: Cannot connect with sudo(): it failed; mend it");
    assert.deepEqual({ ...error.details }, { ...(sent as Failed).details });
    assert.deepEqual(error.details.argv, KNOWN.argv);
    assert.equal(error.details.command, "sudo -u 'a b'");
  }
});

test("connectErrorOf keeps a code of a failed connect, but no other code that a hop sends", () => {
  const record = (code: unknown) => ["EofError", "it failed", null, code, "it failed"];
  assert.equal((connectErrorOf(record("ERR_REFUSED")) as Failed).code, "ERR_REFUSED");
  for (const code of ["ERR_CALL", "toString", "__proto__", 7, {}, undefined]) {
    assert.equal((connectErrorOf(record(code)) as Failed).code, "ERR_EOF");
  }
});

test("connectErrorOf gives every field of details its promised type, whatever a hop sends", () => {
  const odd = { stage: "moon", argv: [1, "ssh", null], exitCode: "0", signal: {}, stderr: 5, platform: 1 };
  for (const details of [odd, [], new Date(0)]) {
    const error = connectErrorOf(["EofError", "it failed", details, null, null]) as Failed;
    const { stage, argv, command, exitCode, signal, stderr, hint, method } = error.details;
    assert.equal(stage, "spawn");
    assert.ok(argv.every((word) => typeof word === "string"));
    assert.equal(typeof command, "string");
    assert.deepEqual([exitCode, signal, stderr, hint, method], [null, null, "", "", ""]);
    assert.equal("platform" in error.details, false);
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
