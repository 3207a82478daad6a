import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { test } from "node:test";
import { bootCommand } from "../../../src/bootstrap/command.ts";
import { lastWords, readableWords } from "../../../src/connection/failures/last-words.ts";
import { newConnectError, printCommand } from "../../../src/connection/failures/new-connect-error.ts";
import { type ConnectDetails, PasswordError } from "../../../src/errors.ts";
import { quoteForSh } from "../../../src/text/shell-quote.ts";

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

test("printCommand and quoteForSh quote only words that a shell would change", () => {
  assert.equal(printCommand(PLAIN), PLAIN.join(" "));
  assert.equal(PLAIN.map(quoteForSh).join(" "), PLAIN.join(" "));
  for (const word of SPECIAL) {
    for (const quoted of [printCommand([word]), quoteForSh(word)]) {
      assert.notEqual(quoted, word);
      assert.equal(execFileSync("sh", ["-c", `printf %s ${quoted}`], { encoding: "utf8" }), word);
    }
  }
});

test("printCommand cuts long words, and prints one line", () => {
  assert.equal(printCommand(["sh", "-c", "echo 1\n\techo 2"]), "sh -c 'echo 1 echo 2'");
  const shown = printCommand(["sh", "-c", `exec ${"x".repeat(1000)}`]);
  assert.ok(shown.length < 100, shown);
  assert.match(shown, /^sh -c 'exec x+…'$/);
});

test("newConnectError says in one sentence what happened and the cure, then the tool's words, and keeps the cause", () => {
  const known = {
    stage: "transport" as const,
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
  const error = newConnectError(failure, known) as PasswordError & { details: ConnectDetails };
  assert.ok(error instanceof PasswordError);
  assert.equal(error.code, "ERR_PASSWORD");
  assert.equal(error.summary, "Cannot connect with sudo(): it is wrong; try another");
  assert.equal(error.message, `${error.summary}\nfirst\nlast`);
  assert.equal(error.cause, cause);
  const { argv, ...printed } = known;
  assert.deepEqual({ ...error.details }, { ...printed, hint: "try another" });
  assert.deepEqual(error.details.argv, argv);
  assert.equal(error.details.command, "sudo -u 'a b'");
  const short = newConnectError({ ...failure, code: "ERR_POLICY", hint: "" }, { ...known, stderr: "" });
  assert.equal(short.message, "Cannot connect with sudo(): it is wrong");
  assert.equal((short as PasswordError).code, "ERR_POLICY");
});

test("readableWords leaves out our scripts and binary data; lastWords keeps the last lines", () => {
  const boot = bootCommand("0123456789abcdef", 19000, ["/opt/node"]);
  assert.equal(
    readableWords(`Sorry: ${boot} as root`),
    "Sorry: sh -c '…0123456789abcdef 19029 /opt/node as root",
  );
  const broken = "\ufffd";
  assert.equal(
    readableWords(`a\n${broken.repeat(50)}\n${`${broken}x`.repeat(50)}\nb${broken}`),
    "a\n(binary data)\nb?",
  );
  assert.equal(readableWords("one\n    ^\n\ntwo"), "one\ntwo");
  const lines = Array.from({ length: 30 }, (_, i) => `line ${i}`);
  assert.equal(lastWords(lines.join("\n")), lines.slice(-10).join("\n"));
});
