import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { test } from "node:test";
import { connectFailure, printCommand } from "../../src/connection/connect-failure.ts";
import { quoteForSh } from "../../src/connection/shell-quote.ts";
import { type ConnectDetails, PasswordError } from "../../src/errors.ts";

const PLAIN = ["ssh", "-o", "LogLevel=ERROR", "/usr/bin/node-20", "ada@web1", "a:b,c%+d", "--user=app"];
const SPECIAL = [
  "a b",
  "a\\b",
  "$HOME",
  '"a"',
  "`id`",
  "a!b",
  "it's",
  "a;b",
  "a&b",
  "a|b",
  "<a>",
  "*",
  "~",
  "(a)",
  "#",
  "",
];

test("printCommand and quoteForSh quote what a shell would not leave alone, and only that (CON-10)", () => {
  assert.equal(printCommand(PLAIN), PLAIN.join(" "));
  assert.equal(PLAIN.map(quoteForSh).join(" "), PLAIN.join(" "));
  for (const word of SPECIAL) {
    for (const quoted of [printCommand([word]), quoteForSh(word)]) {
      assert.notEqual(quoted, word);
      assert.equal(execFileSync("sh", ["-c", `printf %s ${quoted}`], { encoding: "utf8" }), word);
    }
  }
});

test("printCommand shows long words cut, and on one line", () => {
  assert.equal(printCommand(["sh", "-c", "echo 1\n\techo 2"]), "sh -c 'echo 1 echo 2'");
  const shown = printCommand(["sh", "-c", `exec ${"x".repeat(1000)}`]);
  assert.ok(shown.length < 100, shown);
  assert.match(shown, /^sh -c 'exec x+…'$/);
});

test("connectFailure says what happened, the cure, the command and the tool's words, and keeps the cause", () => {
  const known: ConnectDetails = {
    stage: "transport",
    method: "sudo",
    argv: ["sudo", "-u", "a b"],
    exitCode: 1,
    signal: null,
    stderr: "first\nlast",
    durationMs: 5,
    hint: "",
  };
  const cause = new Error("the vault is shut");
  const failure = { type: PasswordError, message: "it is wrong", hint: "try another", cause };
  const error = connectFailure(failure, known) as PasswordError & { details: ConnectDetails };
  assert.ok(error instanceof PasswordError);
  assert.equal(
    error.message,
    "Cannot connect with sudo(): it is wrong; try another; the command was: sudo -u 'a b'\nfirst\nlast",
  );
  assert.equal(error.cause, cause);
  assert.deepEqual(error.details, { ...known, hint: "try another" });
  assert.equal(
    connectFailure({ ...failure, hint: "" }, { ...known, stderr: "" }).message,
    "Cannot connect with sudo(): it is wrong; the command was: sudo -u 'a b'",
  );
});
