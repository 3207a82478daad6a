import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import type { Ended } from "../../support/end-of.ts";
import { checkLeaks } from "../../support/leak-check.ts";
import { mitogen, mitogenHere } from "../run-cli.ts";

// esbuild's service stays for the life of the program.
checkLeaks({ ignoreCommand: /esbuild/ });

const folder = mkdtempSync(join(tmpdir(), "mitogen-cli-run-"));
after(() => rmSync(folder, { recursive: true, force: true }));

writeFileSync(
  join(folder, "tasks.ts"),
  `import { writeFileSync } from "node:fs";
import { shout } from "./shout.ts";

if (process.argv[1]?.endsWith("cli.js")) writeFileSync(${JSON.stringify(join(folder, "imported"))}, "by the CLI");

export enum Level { Low, High }
export function greet(name: string, ...more: unknown[]): string {
  console.log(\`greeting \${name}\`);
  return shout(name) + " " + more.map((each) => typeof each).join();
}
export class Tasks { static twice(n: unknown): unknown { return [n, n]; } }
export function deploy(...args: unknown[]): unknown[] { return args; }
export const options = {
  deploy: {
    summary: "brings a version out",
    args: [
      { name: "version", text: "which one" },
      { name: "port", type: "number" },
      { name: "kind", choices: ["slow", "fast"], optional: true },
      { name: "hosts", rest: true },
    ],
  },
};
`,
);
writeFileSync(
  join(folder, "shout.ts"),
  "export const shout = (text: string): string => text.toUpperCase();\n",
);
writeFileSync(
  join(folder, "wrong.ts"),
  'export const options = { f: { args: [{ type: "int" }] } };\nexport function f() {}\n',
);
writeFileSync(
  join(folder, "loud.ts"),
  'export const options = {};\nthrow new Error("at load");\nexport function f() {}\n',
);
writeFileSync(join(folder, "old.cjs"), "exports.f = () => 1;\n");

const place = { cwd: folder, env: { XDG_STATE_HOME: join(folder, "state") } };

function run(...words: string[]): Promise<Ended> {
  return mitogen(["run", ...words], place);
}

/** Does the same in this process. */
function runHere(...words: string[]): Promise<Omit<Ended, "signal">> {
  return mitogenHere(["run", ...words], place);
}

test("run calls a function of a .ts file with plain node, and never imports the file itself", async () => {
  const { code, stdout, stderr } = await run("tasks.ts#greet", "--on", "local:1", "--", "ada", "7", "{}");
  assert.equal(stderr, "1 host: 1 ok\n");
  assert.equal(code, 0);
  assert.deepEqual(stdout.trimEnd().split("\n").sort(), [
    "local1: ADA string,string",
    "local1: greeting ada",
  ]);
  assert.equal(existsSync(join(folder, "imported")), false);
});

test("run passes JSON with --json-args, and finds static methods and CommonJS", async () => {
  const json = await runHere(
    "tasks.ts#greet",
    "--json-args",
    "--on",
    "local:1",
    "--",
    "ada",
    "7",
    "{}",
    "{a}",
  );
  assert.match(json.stdout, /^local1: ADA number,object,string$/m);
  assert.match(
    (await runHere("tasks.ts#Tasks.twice", "--on", "local:1", "--", "x")).stdout,
    /^local1: \["x","x"\]$/m,
  );
  assert.match((await runHere("old.cjs#f", "--on", "local:1")).stdout, /^local1: 1$/m);
});

test("run explains a task by its options, and checks and converts its arguments", async () => {
  const help = await runHere("tasks.ts#deploy", "--help");
  assert.equal(help.code, 0);
  assert.match(
    help.stdout,
    /TASK\n {4}deploy: brings a version out\n {4}VERSION {2}which one\n {4}PORT {5}\(number\)\n/,
  );
  const { stdout } = await runHere("tasks.ts#deploy", "--on", "local:1", "--", "v1", "80", "fast", "a", "b");
  assert.equal(stdout, 'local1: ["v1",80,"fast","a","b"]\n');
  const refused = await runHere("tasks.ts#deploy", "--on", "local:1", "--", "v1", "x");
  assert.deepEqual([refused.code, refused.stdout], [2, ""]);
  assert.match(refused.stderr, /^mitogen: The argument PORT must be a number, got "x"\n/);
});

test("run refuses a function that it cannot call, before anything starts", async () => {
  const cases: [string[], RegExp][] = [
    [["--on", "local:1"], /Which function\? Write FILE#FUNCTION/],
    [["tasks.ts", "--on", "local:1"], /Write tasks\.ts#FUNCTION; it exports Level, greet, Tasks, deploy$/m],
    [["tasks.ts#gret", "--on", "local:1"], /exports no "gret"; did you mean "greet"\?/],
    [["none.ts#f", "--on", "local:1"], /Cannot read .*none\.ts: there is no such file/],
    [["tasks.ts#greet", "x", "--on", "local:1"], /Put the arguments of the function after --/],
    [["tasks.ts#greet"], /Which hosts\? Name them with --on/],
    [["tasks.ts#greet", "--on", "local:x"], /mitogen: /],
    [
      ["wrong.ts#f", "--on", "local:1"],
      /The options of .*wrong\.ts are wrong: f\.args\[0\]\.name must be a string/,
    ],
    [["loud.ts#f", "--on", "local:1"], /Cannot read the options of .*loud\.ts: .*at load/],
  ];
  for (const [words, message] of cases) {
    const { code, stdout, stderr } = await runHere(...words);
    assert.match(stderr, message);
    assert.deepEqual([code, stdout], [2, ""], words.join(" "));
  }
});

test("exec refuses commands that it would misread", async () => {
  const cases: [string[], RegExp][] = [
    [["uptime"], /Put the command after --, as in "mitogen exec --on web1 -- uptime"/],
    [[], /Which command\?/],
    [
      ["--", "df -h"],
      /There is no program "df -h": leave out the quotes, or pass --shell to have a shell read it/,
    ],
    [["--shell", "--", "df", "-h"], /--shell takes the command line as one word/],
  ];
  for (const [words, message] of cases) {
    const { code, stderr } = await mitogenHere(["exec", "--on", "local:1", ...words], place);
    assert.match(stderr, message);
    assert.equal(code, 2);
  }
});

test("ping, facts and doctor work without an inventory", async () => {
  const ping = await mitogenHere(["ping", "--on", "local:1"], { cwd: folder });
  assert.match(ping.stdout, /^local1: \d+\.\d ms$/m);
  const facts = await mitogenHere(["facts", "--on", "local:1", "--json"], { cwd: folder });
  assert.equal(JSON.parse(facts.stdout).results[0].value.nodeVersion, process.version);
  const doctor = await mitogenHere(["doctor", "--on", "local:1"], { cwd: folder });
  assert.equal(doctor.code, 0);
  assert.match(doctor.stdout, /^local1\n {2}ok {4}way {10}local\n/);
});

test("run reads no pipe and no device as a task", async () => {
  execFileSync("mkfifo", [join(folder, "pipe.ts")]);
  for (const file of ["pipe.ts", "/dev/zero"]) {
    const { code, stderr } = await runHere(`${file}#x`, "--on", "local:1");
    assert.equal(code, 2);
    assert.match(stderr, /^mitogen: Cannot read \/.*: it is not a regular file$/m);
  }
});
