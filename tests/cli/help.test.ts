import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { page } from "../../src/cli/help.ts";
import { COMMANDS } from "../../src/cli/program/commands.ts";
import { Terminal } from "../../src/cli/screen/terminal.ts";
import { repoRoot } from "../support/lab.ts";
import { mitogen, mitogenHere } from "./run-cli.ts";

/** A terminal of some width that discards its output. */
function paper(columns: number): Terminal {
  const out = { isTTY: true, columns, rows: 24, write: () => true, on: () => out, off: () => out };
  return new Terminal(out, out, { NO_COLOR: "1" }, () => undefined);
}

test("mitogen without arguments lists its commands", async () => {
  const { code, stdout, stderr } = await mitogen([]);
  assert.equal(code, 0);
  assert.equal(stderr, "");
  for (const [name, { summary }] of Object.entries(COMMANDS)) {
    assert.match(stdout, new RegExp(`^ {4}${name} +${summary.slice(0, 20)}`, "m"));
  }
  for (const words of [["help"], ["--help"], ["-h"]]) assert.equal((await mitogenHere(words)).stdout, stdout);
});

test("mitogen --version prints the package's version", async () => {
  const { version } = JSON.parse(readFileSync(join(repoRoot, "package.json"), "utf8"));
  assert.deepEqual(await mitogen(["--version"]), {
    code: 0,
    signal: null,
    stdout: `${version}\n`,
    stderr: "",
  });
});

test("mitogen explains usage errors on stderr, with the nearest name, and exits with 2", async () => {
  const cases: [string[], string][] = [
    [["hlep"], 'mitogen: Unknown command "hlep"; did you mean "help"?\nTry "mitogen help".\n'],
    [["help", "hlep"], 'mitogen: Unknown command "hlep"; did you mean "help"?\nTry "mitogen help".\n'],
    [["toString"], 'mitogen: Unknown command "toString"\nTry "mitogen help".\n'],
    [["\u001b[31m"], 'mitogen: Unknown command "\\u001b[31m"\nTry "mitogen help".\n'],
    [["help", "--hepl"], 'mitogen: Unknown option --hepl; did you mean --help?\nTry "mitogen help help".\n'],
  ];
  for (const [words, message] of cases) {
    const { code, stdout, stderr } = await mitogenHere(words);
    assert.deepEqual([code, stdout, stderr], [2, "", message]);
  }
  const misplaced = await mitogen(["--on", "web1", "exec"]);
  assert.equal(misplaced.code, 2);
  assert.match(misplaced.stderr, /Unknown option --on: write the options of a command after its name/);
});

test("every command has a help page that fits the terminal, and the summary of the table", async () => {
  for (const [name, entry] of Object.entries(COMMANDS)) {
    const { command } = await entry.load();
    assert.equal(command.name, name);
    assert.equal(command.summary, entry.summary);
    for (const columns of [40, 80, 200]) {
      const text = page(command, paper(columns));
      assert.match(text, /^NAME\n {4}mitogen /);
      for (const line of text.split("\n")) {
        // A word or an example that is longer cannot be wrapped.
        const isWrapped = !/^ {5,}\S/.test(line) && line.trim().includes(" ");
        if (isWrapped && columns >= 80) assert.ok(line.length <= Math.max(columns, 100), `${name}: ${line}`);
      }
    }
    const viaHelp = await mitogenHere(["help", name]);
    const viaOption = await mitogenHere([name, "--help"]);
    assert.equal(viaHelp.stdout, viaOption.stdout);
    assert.equal(viaHelp.code, 0);
  }
});
