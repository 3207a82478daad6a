import assert from "node:assert/strict";
import { test } from "node:test";
import { stripVTControlCharacters } from "node:util";
import { HumanReport } from "../../src/cli/human-report.ts";
import { Terminal } from "../../src/cli/screen/terminal.ts";

const SUMMARY = { ok: 0, failed: 0, unreachable: 1, skipped: 0 };
const REASON =
  "Cannot connect with ssh(): 10.0.0.11 refuses connections on port 22; check whether its sshd runs";

/** The lines about a host that cannot be reached. */
function shown(isTTY: boolean): string[] {
  let text = "";
  const paper = {
    isTTY,
    columns: 40,
    write: (more: string) => {
      text += more;
      return true;
    },
    on: () => undefined,
    off: () => undefined,
  };
  const report = new HumanReport(new Terminal(paper, paper, {}, () => undefined), 1, {
    isFolded: false,
    isQuiet: false,
    show: () => undefined,
  });
  const error = new Error(REASON);
  report.event({ type: "result", result: { host: "web1", status: "unreachable", error, durationMs: 1 } });
  report.end(SUMMARY, ["web1"], false);
  return stripVTControlCharacters(text)
    .split("\n")
    .flatMap((line) => /web1: .*/.exec(line) ?? []);
}

test("HumanReport on a terminal breaks the reason why a host cannot be reached between words", () => {
  const lines = shown(true);
  assert.ok(lines.length > 2 && lines.every((line) => line.length <= 40), lines.join("\n"));
  assert.equal(lines.map((line) => line.slice("web1: ".length)).join(" "), `unreachable: ${REASON}`);
});

test("HumanReport without a terminal prints the reason in one line", () => {
  assert.deepEqual(shown(false), [`web1: unreachable: ${REASON}`]);
});
