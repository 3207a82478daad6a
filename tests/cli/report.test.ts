import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { Ajv } from "ajv";
import { hasHugeBigint, jsonParts, plain } from "../../src/cli/json.ts";
import { type Ended, endOf } from "../support/end-of.ts";
import { isFull, sampleOf } from "../support/extent.ts";
import { repoRoot } from "../support/lab.ts";
import { checkLeaks } from "../support/leak-check.ts";
import { CLI, cleanEnvironment, mitogen, mitogenHere } from "./run-cli.ts";

// esbuild's service stays for the life of the program.
checkLeaks({ ignoreCommand: /esbuild/ });

const folder = mkdtempSync(join(tmpdir(), "mitogen-cli-"));
after(() => rmSync(folder, { recursive: true, force: true }));

writeFileSync(
  join(folder, "mitogen.config.json"),
  JSON.stringify({
    hosts: {
      one: { local: {} },
      two: { local: {} },
      // Ends before it is a context.
      gone: { exec: { command: ["/bin/false"] } },
    },
    groups: { every: ["one", "two", "gone"], well: ["one", "two"] },
  }),
);
writeFileSync(
  join(folder, "tasks.mjs"),
  `import { hostname } from "node:os";
export function odd(x) {
  return { big: 12n, map: new Map([["a", 1]]), set: new Set([1]), bytes: new Uint8Array([1, 2]), at: new Date(0), name: typeof hostname(), x };
}
export function evil() {
  console.log("\\u001b]0;title\\u0007\\u001b[2Jwiped");
  return "\\u001b[1Aup \\u202e and \\u009b2J";
}
export function fails() {
  throw Object.assign(new RangeError("not that"), { code: "ERR_MINE" });
}
export function quiet() {}
`,
);

const validate = new Ajv().compile(
  JSON.parse(readFileSync(join(repoRoot, "docs/cli-results.schema.json"), "utf8")),
);

function run(words: string[], env: NodeJS.ProcessEnv = {}): Promise<Ended> {
  return mitogen(words, { cwd: folder, env: { XDG_STATE_HOME: join(folder, "state"), ...env } });
}

/** Does the same in this process. Other tests cover the program. */
function runHere(words: string[]): Promise<Omit<Ended, "signal">> {
  return mitogenHere(words, { cwd: folder, env: { XDG_STATE_HOME: join(folder, "state") } });
}

async function json(words: string[]): Promise<{ code: number | null; document: Document }> {
  const { code, stdout, stderr } = await runHere([...words.slice(0, 1), "--json", ...words.slice(1)]);
  assert.equal(stderr, "");
  const document: unknown = JSON.parse(stdout);
  assert.equal(stdout, `${JSON.stringify(document, undefined, 2)}\n`);
  assert.ok(validate(document), JSON.stringify(validate.errors));
  return { code, document: document as Document };
}

interface Document {
  summary: Record<string, number>;
  results: {
    host: string;
    status: string;
    value?: unknown;
    error?: Record<string, string>;
    output?: string;
  }[];
}

test("plain lines: output and values of hosts on stdout, the rest on stderr; the exit status tells the worst result", async () => {
  const well = await run(["exec", "--on", "@well", "--", "sh", "-c", "echo out; echo err >&2"]);
  assert.equal(well.code, 0);
  assert.deepEqual(well.stdout.split("\n").sort(), ["", "one: out", "two: out"]);
  assert.deepEqual(well.stderr.split("\n").sort(), ["", "2 hosts: 2 ok", "one: err", "two: err"]);

  const unreachable = await runHere(["exec", "--on", "one,gone", "--", "true"]);
  assert.equal(unreachable.code, 3);
  assert.equal(unreachable.stdout, "");
  assert.match(unreachable.stderr, /^gone: unreachable: Cannot connect/m);
  assert.match(unreachable.stderr, /^2 hosts: 1 ok, 1 unreachable \(gone\)$/m);

  const failed = await runHere(["exec", "--on", "one,gone", "--", "sh", "-c", "exit 7"]);
  assert.equal(failed.code, 1);
  assert.match(failed.stderr, /^one: failed: exit code 7$/m);
});

test("--json is one document that the published schema accepts, in the order of the hosts", async () => {
  const { code, document } = await json(["exec", "--on", "@every", "--", "sh", "-c", "echo x; exit 3"]);
  assert.equal(code, 1);
  assert.deepEqual(document.summary, { ok: 0, failed: 2, unreachable: 1, skipped: 0 });
  assert.deepEqual(
    document.results.map(({ host, status }) => `${host} ${status}`),
    ["one failed", "two failed", "gone unreachable"],
  );
  const [one, , gone] = document.results;
  const { durationMs, ...value } = Object(one?.value);
  assert.deepEqual(value, { exitCode: 3, signal: null, stdout: "x", stderr: "" });
  assert.equal(typeof durationMs, "number");
  assert.equal(one?.output, "x");
  assert.equal(one?.error?.["code"], "ERR_COMMAND");
  assert.equal(gone?.error?.["name"], "EofError");
});

test("--json prints values that JSON does not have, and errors of functions", async () => {
  const odd = await json(["run", "tasks.mjs#odd", "--on", "one", "--json-args", "--", '{"a":[1]}']);
  assert.deepEqual(odd.document.results[0]?.value, {
    big: "12",
    map: [["a", 1]],
    set: [1],
    bytes: "AQI=",
    at: "1970-01-01T00:00:00.000Z",
    name: "string",
    x: { a: [1] },
  });
  const failed = await json(["run", "tasks.mjs#fails", "--on", "one"]);
  assert.equal(failed.code, 1);
  assert.equal(failed.document.results[0]?.error?.["code"], "ERR_MINE");
  assert.match(failed.document.results[0]?.error?.["stack"] ?? "", /tasks\.mjs:/);
  const quiet = await json(["run", "tasks.mjs#quiet", "--on", "one"]);
  assert.equal(Object.hasOwn(quiet.document.results[0] ?? {}, "value"), false);
});

test("jsonParts escapes a long value part by part", () => {
  const parts = [...jsonParts("\x7f".repeat(2_500_000), 0, "\n")];
  assert.equal(parts.length, 3);
  assert.equal(parts.join(""), `"${"\\u007f".repeat(2_500_000)}"\n`);
});

test("plain shows huge integers in hexadecimal, because their decimal digits take minutes", () => {
  const huge = 1n << 80_000n;
  const value = new Map<unknown, unknown>([[1, [{ huge: -huge, big: 1n << 100n }]]]);
  const [[, [{ huge: shown, big }]]] = plain(value) as [[number, [{ huge: string; big: string }]]];
  assert.equal(shown, `-0x1${"0".repeat(20_000)}`);
  assert.equal(big, String(1n << 100n));
  assert.ok(hasHugeBigint(value) && hasHugeBigint(new Error("e", { cause: new Set([huge]) })));
  assert.equal(hasHugeBigint({ big: [1n << 100n, null] }), false);
  assert.equal((plain({ bytes: Buffer.alloc(3) }) as { bytes: string }).bytes, "AAAA");
});

test("plain shows what a value that holds itself has, unless that is a huge integer", () => {
  const value: Record<string, unknown> = { name: "web1", ports: [80, 443] };
  value["self"] = value;
  assert.equal(plain(value), "<ref *1> { name: 'web1', ports: [ 80, 443 ], self: [Circular *1] }");
  value["huge"] = 1n << 80_000n;
  assert.equal(plain(value), "[Object]");
});

test("--ndjson is one event a line, in order", async () => {
  const { code, stdout, stderr } = await runHere(["exec", "--on", "one,gone", "--ndjson", "--", "echo", "x"]);
  assert.equal(code, 3);
  assert.equal(stderr, "");
  const events = stdout
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line));
  const ofOne = events.filter((event) => event.host === "one" || event.result?.host === "one");
  assert.deepEqual(
    ofOne.map(({ type }) => type),
    ["connecting", "connected", "start", "output", "result"],
  );
  assert.deepEqual(events.at(-1), {
    type: "summary",
    summary: { ok: 1, failed: 0, unreachable: 1, skipped: 0 },
  });
  for (const { type, result } of events) {
    if (type !== "result") continue;
    const summary = { ok: 0, failed: 0, unreachable: 0, skipped: 0 };
    assert.ok(validate({ version: 1, summary, results: [result] }), JSON.stringify(validate.errors));
  }
});

test("--fold prints equal outputs once; --quiet prints none", async () => {
  const folded = await runHere(["exec", "--on", "@well", "--fold", "--", "echo", "same"]);
  assert.equal(folded.stdout, "== one,two (2 hosts)\nsame\n");
  const quiet = await runHere(["exec", "--on", "one", "--quiet", "--", "echo", "same"]);
  assert.equal(quiet.stdout, "");
  const both = await runHere(["exec", "--on", "one", "--fold", "--json", "--", "true"]);
  assert.equal(both.code, 2);
  assert.match(both.stderr, /Use only one of --json and --fold/);
});

test("text of hosts moves no cursor, sets no title and hides nothing, in any form of output", async () => {
  for (const form of sampleOf(2, [[], ["--fold"], ["--json"], ["--ndjson"]])) {
    const { stdout, stderr } = await runHere(["run", "tasks.mjs#evil", "--on", "one", ...form]);
    assert.match(stdout, /wiped/);
    assert.doesNotMatch(stdout + stderr, /[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e]/, form.join(" "));
  }
});

test("--rerun failed takes the hosts that were not ok; the state is the user's alone", async () => {
  await runHere(["exec", "--on", "one,gone", "--", "true"]);
  const again = await json(["exec", "--rerun", "failed", "--", "true"]);
  assert.deepEqual(
    again.document.results.map(({ host }) => host),
    ["gone"],
  );
  const state = join(folder, "state/mitogen");
  assert.equal(statSync(state).mode & 0o777, 0o700);
  for (const name of readdirSync(state)) assert.equal(statSync(join(state, name)).mode & 0o777, 0o600);
  await runHere(["exec", "--on", "one", "--", "true"]);
  const none = await runHere(["exec", "--rerun", "failed", "--", "true"]);
  assert.equal(none.code, 2);
  assert.match(none.stderr, /--rerun failed: no host of the last run has failed/);
  const [file = ""] = readdirSync(state);
  for (const damaged of ["{", "null", '{"on":[1],"results":{}}', '{"on":[],"results":{}}']) {
    writeFileSync(join(state, file), damaged);
    const { code, stderr } = await runHere(["exec", "--rerun", "failed", "--dry-run", "--", "true"]);
    assert.equal(code, 2);
    assert.match(stderr, /no earlier run or exec in .* is known/, damaged);
  }
  const never = await mitogenHere(["exec", "--rerun", "failed", "--", "true"], {
    cwd: folder,
    env: { XDG_STATE_HOME: join(folder, "nothing") },
  });
  assert.equal(never.code, 2);
  assert.match(never.stderr, /no earlier run or exec in .* is known/);
});

test("--limit, --batch and --max-fail limit a run, and --dry-run only shows it", async () => {
  const limited = await json(["exec", "--on", "@every", "--limit", "1", "--", "true"]);
  assert.deepEqual(
    limited.document.results.map(({ host }) => host),
    ["one"],
  );
  const stopped = await json(["exec", "--on", "local:4", "--batch", "2", "--max-fail", "1", "--", "false"]);
  assert.deepEqual(stopped.document.summary, { ok: 0, failed: 2, unreachable: 0, skipped: 2 });
  const dry = await runHere(["exec", "--on", "@every", "--sudo", "--dry-run", "--", "rm", "-rf", "/tmp/a b"]);
  assert.equal(dry.code, 0);
  assert.match(dry.stdout, /^Would run rm -rf '\/tmp\/a b' on 3 hosts:\n {2}one {2}local > sudo\n/);
});

test("a pipe that is closed early ends the work quietly", { timeout: 60_000 }, async () => {
  const command = `"$0" "$1" exec --on local:1 --shell -- 'while :; do echo x || exit; sleep 0.05; done' | head -1`;
  const child = spawn("bash", ["-o", "pipefail", "-c", command, process.execPath, CLI], {
    cwd: folder,
    env: cleanEnvironment({ XDG_STATE_HOME: join(folder, "state") }),
    stdio: ["ignore", "pipe", "pipe"],
  });
  const { code, stdout, stderr } = await endOf(child).ended;
  assert.equal(stdout, "local1: x\n");
  assert.equal(stderr, "");
  assert.equal(code, 0);
});

test("a flood of output does not fill the memory of --json", async () => {
  // More than the memory that the program has.
  const megabytes = isFull ? 100 : 36;
  const flood = `yes "$(printf %010000d 7)" | head -n ${megabytes}00`;
  const words = ["exec", "--on", "one", "--json", "--shell", "--", flood];
  const { code, stdout, stderr } = await mitogen(words, {
    cwd: folder,
    env: { XDG_STATE_HOME: join(folder, "state"), NODE_OPTIONS: `--max-old-space-size=${isFull ? 64 : 32}` },
  });
  assert.equal(code, 0, stderr.slice(0, 2000));
  const [result] = JSON.parse(stdout).results;
  assert.equal(result.status, "ok");
  assert.ok(result.output.endsWith(`07\n${"7".padStart(10_000, "0")}`));
});
