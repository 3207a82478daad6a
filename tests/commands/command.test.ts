import assert from "node:assert/strict";
import { test } from "node:test";
import { parseCommand } from "../../src/commands/command.ts";

test("parseCommand takes a list as the program and its arguments, whatever they contain", () => {
  const argv = ["echo", "a b", "", "$HOME", "it's", "x;y"];
  assert.deepEqual(parseCommand(argv), { argv, text: `echo 'a b' '' '$HOME' 'it'\\''s' 'x;y'` });
});

test("parseCommand splits a string at spaces", () => {
  assert.deepEqual(parseCommand("  uname   -a\t-r "), { argv: ["uname", "-a", "-r"], text: "uname -a -r" });
  assert.deepEqual(parseCommand("docker ps --format={{.ID}} a~b a#b").argv[2], "--format={{.ID}}");
});

test("parseCommand refuses a string with shell syntax, and names the cure", () => {
  const commands = ["ls | wc", "ls > x", "a && b", "echo 'x'", 'echo "x"', "echo $HOME", "ls *.txt", "a;b"];
  for (const command of [...commands, "ls ~/x", "~/x", "a\nb", "a `b`", "a\\ b", "ls # x", "ls [ab]"]) {
    assert.throws(() => parseCommand(command), {
      name: "TypeError",
      code: "ERR_INVALID_ARG_VALUE",
      message: /^Cannot run ".*": .* has a meaning only for a shell; pass .* or shell: true$/,
    });
  }
  assert.throws(() => parseCommand("LANG=C sort"), /begins with a variable; pass the variable in env/);
});

test("parseCommand passes a script to the requested shell, with the arguments apart", () => {
  const script = 'echo "$1" | wc';
  assert.deepEqual(parseCommand(script, true), { argv: ["/bin/sh", "-c", script], text: script });
  assert.deepEqual(parseCommand([script, "$(id)"], "/bin/bash").argv, [
    ...["/bin/bash", "-c", script],
    ...["/bin/bash", "$(id)"],
  ]);
});

test("parseCommand refuses a value that is no command", () => {
  for (const command of [undefined, null, 7, {}, [7], ["a", null], () => 1]) {
    assert.throws(() => parseCommand(command), { name: "TypeError", code: "ERR_INVALID_ARG_TYPE" });
  }
  for (const command of ["", "  ", [], [""], ["", "x"], "a\0b", ["a", "b\0"]]) {
    assert.throws(() => parseCommand(command), { name: "TypeError", code: "ERR_INVALID_ARG_VALUE" });
  }
});
