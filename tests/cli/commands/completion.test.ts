import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { chmodSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { checkLeaks } from "../../support/leak-check.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";
import { CLI, cleanEnvironment, mitogen } from "../run-cli.ts";

checkLeaks();

/** A folder with a config and tasks, and a `mitogen` on PATH that shows its words, except for completions. */
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

/** Lines as they are typed, and the words that the program must get. `\t` is Tab. */
const TYPED: readonly [line: string, words: string][] = [
  ["mitogen ho\t", "<hosts>"],
  ["mitogen hosts --gr\t", "<hosts><--groups>"],
  ["mitogen hosts --on a\t", "<hosts><--on><app1>"],
  ["mitogen hosts --on @we\t", "<hosts><--on><@web>"],
  ["mitogen hosts --on=a\t", "<hosts><--on=app1>"],
  ["mitogen hosts --on web1,a\t,@w\t", "<hosts><--on><web1,app1,@web>"],
  ["mitogen hosts --on loc\t", "<hosts><--on><local:3>"],
  ["mitogen hosts --inventory mi\t --on a\t", "<hosts><--inventory><mitogen.config.mjs><--on><app1>"],
  ["mitogen run ta\t", "<run><tasks.ts>"],
  ["mitogen run x\t", "<run><x$(touch pwn);y.ts>"],
  ["mitogen run tasks.ts#rel\t --on web2", "<run><tasks.ts#reload><--on><web2>"],
];

/** What a shell on a terminal makes of the typed lines. */
function typed(shell: string, load: string, { cwd, env }: { cwd: string; env: NodeJS.ProcessEnv }): string[] {
  const lines = TYPED;
  const input = [load, ...lines.map(([line]) => line), "exit", ""].join("\n");
  const { stdout } = spawnSync("script", ["-qec", shell, "/dev/null"], {
    cwd,
    env,
    input,
    encoding: "utf8",
    timeout: 120_000,
  });
  return [...stdout.matchAll(/^(?:\x1b\[[?\d;]*[a-zA-Z]|\r)*(<.*>)\r?$/gm)].map(
    ([, words]) => words as string,
  );
}

const WANTED = TYPED.map(([, words]) => words);

test("mitogen completion completes in bash, as it is typed", { timeout: 180_000 }, (t) => {
  const place = folder(t);
  const found = typed("bash --norc --noprofile -i", "source <(mitogen completion bash)", place);
  assert.deepEqual(found, WANTED);
});

test("mitogen completion completes in zsh, as it is typed", { timeout: 180_000 }, (t) => {
  // The lab has it.
  if (!process.env["CI"] && spawnSync("zsh", ["--version"]).status !== 0) return t.skip("Needs zsh");
  const place = folder(t);
  const found = typed(
    "zsh -f -i",
    "autoload -U compinit; compinit -u; PROMPT_SP=; source <(mitogen completion zsh)",
    place,
  );
  assert.deepEqual(found, WANTED);
});

test("mitogen completion completes in fish", { timeout: 180_000 }, (t) => {
  // The lab has it.
  if (!process.env["CI"] && spawnSync("fish", ["--version"]).status !== 0) return t.skip("Needs fish");
  const { cwd, env } = folder(t);
  const ask = (line: string): string[] => {
    const script = `mitogen completion fish | source; complete -C '${line}'`;
    const { stdout, stderr } = spawnSync("fish", ["--no-config", "-c", script], {
      cwd,
      env,
      encoding: "utf8",
    });
    assert.equal(stderr, "");
    return stdout.split("\n").filter((each) => each !== "");
  };
  assert.deepEqual(ask("mitogen ho"), [
    "hosts\tlists the hosts of the inventory, or those that a pattern selects",
  ]);
  assert.deepEqual(ask("mitogen hosts --on web1,@w"), ["web1,@web\tgroup"]);
  assert.deepEqual(ask("mitogen run tasks.ts#"), ["tasks.ts#reload\tfunction", "tasks.ts#restart\tfunction"]);
  assert.deepEqual(ask('mitogen hosts --on "!a'), ["!app1\thost"]);
  assert.deepEqual(ask("mitogen completion "), ["bash", "fish", "zsh"]);
});

test("mitogen completion says nothing of what it cannot know, and never fails", async (t) => {
  const { cwd } = folder(t);
  const ask = async (...words: string[]): Promise<string> => {
    const { code, stdout, stderr } = await mitogen(["completion", "candidates", "zsh", "--", ...words], {
      cwd,
    });
    // What a config prints. The scripts of the shells leave stderr out.
    assert.deepEqual([code, stderr.replace("noise\n", "")], [0, ""]);
    return stdout;
  };
  assert.equal(await ask("nonsense", ""), "closed\n");
  assert.equal(await ask("exec", "--on", "web1", "--", ""), "closed\n");
  assert.equal(await ask("run", "none.ts#"), "closed\n");
  assert.equal(await ask("hosts", "--on", "zzz"), "closed\n");
  assert.match(
    await ask("hosts", "--on", "web1,!"),
    /^open\nweb1,!web1\thost\nweb1,!web2\thost\nweb1,!app1\thost\nweb1,!@web\tgroup\n/,
  );
  writeFileSync(join(cwd, "mitogen.config.mjs"), "console.log('noise'); throw new Error('broken');");
  assert.match(await ask("hosts", "--on", "loc"), /^open\nlocal:3\tsource\n$/);
  const { code, stderr } = await mitogen(["completion", "tcsh"]);
  assert.deepEqual(
    [code, stderr.split("\n")[0]],
    [2, 'mitogen: completion knows bash, zsh and fish, not "tcsh"'],
  );
});

test("a config that never lets go of the processor holds up nobody who presses Tab", async (t) => {
  const cwd = temporaryFolder(t);
  writeFileSync(join(cwd, "mitogen.config.mjs"), "for (;;);");
  const words = ["completion", "candidates", "bash", "", "mitogen exec --on "];
  const { code, stdout, stderr } = await mitogen(words, { cwd });
  assert.deepEqual([code, stdout, stderr], [2, "", "mitogen: the config does not end\n"]);
});
