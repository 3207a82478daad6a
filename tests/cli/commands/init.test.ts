import assert from "node:assert/strict";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { pathToFileURL } from "node:url";
import { onLog, ref, runWithRouter } from "../../../src/index.ts";
import { checkLeaks } from "../../support/leak-check.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";
import { mitogen, mitogenHere } from "../run-cli.ts";

// esbuild's service stays for the life of the program.
checkLeaks({ ignoreCommand: /esbuild/ });

test("mitogen init writes a config and a task that run at once", async (t) => {
  const cwd = temporaryFolder(t);
  const made = await mitogen(["init"], { cwd });
  assert.deepEqual([made.code, made.stderr], [0, ""]);
  assert.match(
    made.stdout,
    /^Wrote mitogen\.config\.ts and tasks\.ts\. Try:\n\n {4}mitogen run tasks\.ts#hello --on @demo\n/,
  );
  assert.deepEqual(readdirSync(cwd).sort(), ["mitogen.config.ts", "tasks.ts"]);
  assert.equal(
    (await mitogenHere(["hosts", "--on", "@demo"], { cwd })).stdout,
    "local1  local  @demo\nlocal2  local  @demo\nlocal3  local  @demo\n",
  );
  const lines: string[] = [];
  t.after(onLog(({ message }) => lines.push(message)));
  const hello = ref(pathToFileURL(join(cwd, "tasks.ts")).href, "hello");
  await runWithRouter(async (router) => {
    const context = await router.local();
    assert.match(String(await context.call(hello, "Ada")), /^Hello Ada! \S+ is up for \d+ hours$/);
  });
  assert.ok(lines.some((line) => /process \d+ runs on node v/.test(line)));
});

test("mitogen init overwrites nothing, and leaves nothing behind if it cannot write all", async (t) => {
  const cwd = temporaryFolder(t);
  for (const name of ["tasks.ts", "mitogen.config.json"]) {
    const place = join(cwd, name.replace(/\W/g, ""));
    mkdirSync(place);
    writeFileSync(join(place, name), "mine");
    const { code, stdout, stderr } = await mitogenHere(["init"], { cwd: place });
    assert.deepEqual([code, stdout], [2, ""]);
    assert.ok(stderr.startsWith(`mitogen: There is already ${name} in .; nothing was written\n`), stderr);
    assert.deepEqual([readdirSync(place), readFileSync(join(place, name), "utf8")], [[name], "mine"]);
  }
  const deep = await mitogenHere(["init", "new/folder"], { cwd });
  assert.match(deep.stdout, /^ {4}cd new\/folder && mitogen run /m);
  assert.ok(existsSync(join(cwd, "new/folder/tasks.ts")));
  const byNpx = await mitogenHere(["init", "npx"], { cwd, env: { npm_command: "exec" } });
  assert.match(byNpx.stdout, /^ {4}cd npx && npx mitogen run /m);
  mkdirSync(join(cwd, "others"));
  writeFileSync(join(cwd, "others/toString"), "mine");
  assert.equal((await mitogenHere(["init", "others"], { cwd })).code, 0);
  writeFileSync(join(cwd, "file"), "");
  const refused = await mitogenHere(["init", "file/below"], { cwd });
  assert.deepEqual(
    [refused.code, refused.stderr.startsWith("mitogen: Cannot write to file/below: ")],
    [2, true],
  );
  assert.equal((await mitogenHere(["init", "a", "b"], { cwd })).code, 2);
});
