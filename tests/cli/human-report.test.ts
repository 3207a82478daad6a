import assert from "node:assert/strict";
import { test } from "node:test";
import { stripVTControlCharacters } from "node:util";
import { HumanReport } from "../../src/cli/human-report.ts";
import { Terminal } from "../../src/cli/screen/terminal.ts";
import type { HostResult } from "../../src/fleet/result.ts";

const SUMMARY = { ok: 0, failed: 0, unreachable: 1, skipped: 0 };
const REASON =
  "Cannot connect with ssh(): 10.0.0.11 refuses connections on port 22; check whether its sshd runs";

const UNREACHABLE = {
  host: "web1",
  status: "unreachable",
  error: new Error(REASON),
  durationMs: 1,
} as const;

/** The lines about a host, by default one that cannot be reached. */
function shown(isTTY: boolean, result: HostResult = UNREACHABLE): string[] {
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
    show: String,
  });
  report.event({ type: "result", result });
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

test("HumanReport shows a long value in all its lines, and cuts lines that are too long", () => {
  const ok = (value: string) => shown(false, { host: "web1", status: "ok", value, durationMs: 1 });
  const lines = Array.from({ length: 20_000 }, (_, i) => `line \x01 ${i}`);
  assert.deepEqual(
    ok(lines.join("\r\n")),
    lines.map((line) => `web1: ${line.replace("\x01", "\\u0001")}`),
  );
  const [long] = ok("a".repeat(16 * 1024 * 1024 - 1) + "\x01".repeat(1024 * 1024 + 1));
  assert.match(long?.slice(-60) ?? "", /\\u0001… \[1048576 characters more\]$/);
});

test("HumanReport cuts a reason that is as long as a message may be", () => {
  const error = new Error("\x01a".repeat(10_000_000));
  const [reason] = shown(false, { host: "web1", status: "failed", error, durationMs: 1 });
  assert.match(reason ?? "", /^web1: failed: (\\u0001a){8192}… \[19983616 characters more\]$/);
});
