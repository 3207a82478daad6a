import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { chmodSync, mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { isFull, isQuick, sampleOf, takesLong } from "../../support/extent.ts";
import { checkLeaks } from "../../support/leak-check.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";
import { CLI, cleanEnvironment, mitogen, mitogenHere } from "../run-cli.ts";

checkLeaks();

/** A folder with a config and tasks, and a `mitogen` on PATH that only prints its words, except for completions. */
function folder(t: TestContext): { cwd: string; env: NodeJS.ProcessEnv } {
  const cwd = temporaryFolder(t);
  writeFileSync(
    join(cwd, "mitogen.config.mjs"),
    `export default { hosts: { web1: { local: {} }, web2: { local: {} }, app1: { local: {} } },
  groups: { web: "web*", slow: () => new Promise(() => {}) } };`,
  );
  writeFileSync(
    join(cwd, "tasks.ts"),
    "export const options = {};\nexport function restart(name: string): void {}\nexport async function reload() {}\nexport type T = 1;\n",
  );
  writeFileSync(join(cwd, "x$(touch pwn);y.ts"), "");
  mkdirSync(join(cwd, "bin"));
  const program = join(cwd, "bin/mitogen");
  writeFileSync(
    program,
    `#!/bin/sh\nif [ "$1" = completion ]; then exec '${process.execPath}' '${CLI}' "$@"; fi\nprintf '<%s>' "$@"; echo\n`,
  );
  chmodSync(program, 0o755);
  return {
    cwd,
    env: cleanEnvironment({ PATH: `${join(cwd, "bin")}:${process.env["PATH"]}`, HOME: cwd, ZDOTDIR: cwd }),
  };
}

/**
 * Typed lines, and the words that the program must get. `\t` is Tab, which starts the program. A line `isForAll` is
 * typed in every shell, because shells may take it differently.
 */
const TYPED: readonly { readonly line: string; readonly words: string; readonly isForAll?: true }[] = [
  { line: "mitogen ho\t", words: "<hosts>" },
  { line: "mitogen hosts --gr\t", words: "<hosts><--groups>" },
  { line: "mitogen hosts --on a\t", words: "<hosts><--on><app1>" },
  { line: "mitogen hosts --on @we\t", words: "<hosts><--on><@web>" },
  { line: "mitogen hosts --on=a\t", words: "<hosts><--on=app1>", isForAll: true },
  { line: "mitogen hosts --on web1,a\t,@w\t", words: "<hosts><--on><web1,app1,@web>", isForAll: true },
  { line: "mitogen hosts --on loc\t", words: "<hosts><--on><local:3>" },
  {
    line: "mitogen hosts --inventory mi\t --on a\t",
    words: "<hosts><--inventory><mitogen.config.mjs><--on><app1>",
  },
  { line: "mitogen run ta\t", words: "<run><tasks.ts>" },
  { line: "mitogen run x\t", words: "<run><x$(touch pwn);y.ts>", isForAll: true },
  { line: "mitogen run tasks.ts#rel\t --on web2", words: "<run><tasks.ts#reload><--on><web2>" },
];
const TYPED_IN_BASH = TYPED.filter(
  ({ isForAll }, i) => isForAll || (isQuick ? i === 1 : isFull || i % 4 === 1),
);
const TYPED_IN_ZSH = TYPED.filter(({ isForAll }) => isFull || isForAll);

/** Types the lines in a shell on a terminal. */
function checkTyped(
  shell: string,
  load: string,
  lines: typeof TYPED,
  { cwd, env }: { cwd: string; env: NodeJS.ProcessEnv },
): void {
  const input = [load, ...lines.map(({ line }) => line), "exit", ""].join("\n");
  const { stdout } = spawnSync("script", ["-qec", shell, "/dev/null"], {
    cwd,
    env,
    input,
    encoding: "utf8",
    timeout: 120_000,
  });
  const found = stdout.matchAll(/^(?:\x1b\[[?\d;]*[a-zA-Z]|\r)*(<.*>)\r?$/gm);
  assert.deepEqual(
    [...found].map(([, words]) => words),
    lines.map(({ words }) => words),
  );
}

test("mitogen completion completes what is typed in bash", { timeout: 180_000 }, (t) => {
  const place = folder(t);
  checkTyped("bash --norc --noprofile -i", "source <(mitogen completion bash)", TYPED_IN_BASH, place);
});

test("mitogen completion completes what is typed in zsh", { timeout: 180_000, skip: takesLong }, (t) => {
  // The lab has zsh.
  if (!process.env["CI"] && spawnSync("zsh", ["--version"]).status !== 0) return t.skip("Needs zsh");
  const load = "autoload -U compinit; compinit -u; PROMPT_SP=; source <(mitogen completion zsh)";
  checkTyped("zsh -f -i", load, TYPED_IN_ZSH, folder(t));
});

test("mitogen completion completes in fish", { timeout: 180_000 }, (t) => {
  // The lab has fish.
  if (!process.env["CI"] && spawnSync("fish", ["--version"]).status !== 0) return t.skip("Needs fish");
  const { cwd, env } = folder(t);
  const typed = sampleOf(2, [
    ["mitogen ho", ["hosts\tlists the hosts of the inventory, or those that a pattern selects"]],
    ["mitogen hosts --on web1,@w", ["web1,@web\tgroup"]],
    ["mitogen run tasks.ts#", ["tasks.ts#reload\tfunction", "tasks.ts#restart\tfunction"]],
    ['mitogen hosts --on "!a', ["!app1\thost"]],
    ["mitogen completion ", ["bash", "fish", "zsh"]],
  ] as const);
  const asked = typed.map(([line]) => `complete -C '${line}'`);
  const script = ["mitogen completion fish | source", ...asked].join("; echo ==; ");
  const { stdout, stderr } = spawnSync("fish", ["--no-config", "-c", script], { cwd, env, encoding: "utf8" });
  assert.equal(stderr, "");
  assert.deepEqual(
    stdout.split("==\n").map((text) => text.split("\n").slice(0, -1)),
    [[], ...typed.map(([, shown]) => shown)],
  );
});

test("mitogen completion offers nothing where it knows nothing, and fails only for an unknown shell", async (t) => {
  const { cwd } = folder(t);
  const wordsOf = (...words: string[]): string[] => ["completion", "candidates", "zsh", "--", ...words];
  const ask = async (...words: string[]): Promise<string> => {
    const { code, stdout, stderr } = await mitogenHere(wordsOf(...words), { cwd });
    assert.deepEqual([code, stderr], [0, ""]);
    return stdout;
  };
  assert.equal(await ask("nonsense", ""), "closed\n");
  assert.equal(await ask("exec", "--on", "web1", "--", ""), "closed\n");
  assert.equal(await ask("run", "none.ts#"), "closed\n");
  symlinkSync("circle", join(cwd, "circle"));
  assert.match(await ask("put", "ci"), /^open\ncircle\tfile\n$/);
  assert.equal(await ask("hosts", "--on", "zzz"), "closed\n");
  assert.match(
    await ask("hosts", "--on", "web1,!"),
    /^open\nweb1,!web1\thost\nweb1,!web2\thost\nweb1,!app1\thost\nweb1,!@web\tgroup\n/,
  );
  writeFileSync(join(cwd, "mitogen.config.mjs"), "console.log('noise'); throw new Error('broken');");
  const broken = await mitogen(wordsOf("hosts", "--on", "loc"), { cwd });
  // stderr has what the config prints. The scripts of the shells leave it out.
  assert.deepEqual([broken.code, broken.stderr], [0, "noise\n"]);
  assert.match(broken.stdout, /^open\nlocal:3\tsource\n$/);
  const { code, stderr } = await mitogenHere(["completion", "tcsh"]);
  assert.deepEqual(
    [code, stderr.split("\n")[0]],
    [2, 'mitogen: completion knows bash, zsh and fish, not "tcsh"'],
  );
});

test("mitogen completion ends even if the config blocks its thread", async (t) => {
  const cwd = temporaryFolder(t);
  writeFileSync(
    join(cwd, "mitogen.config.mjs"),
    "Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);",
  );
  const words = ["completion", "candidates", "bash", "", "mitogen exec --on "];
  const { code, stdout, stderr } = await mitogen(words, { cwd });
  assert.deepEqual([code, stdout, stderr], [2, "", "mitogen: the config does not end\n"]);
});
