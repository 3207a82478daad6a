import assert from "node:assert/strict";
import { existsSync, mkdirSync, readdirSync, watch, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { takesLong } from "../../support/extent.ts";
import { checkLeaks } from "../../support/leak-check.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";
import { mitogen } from "../run-cli.ts";

checkLeaks();

test("the process of an up that has connected no host ends by itself", { skip: takesLong }, async (t) => {
  const cwd = temporaryFolder(t);
  const run = join(cwd, "run");
  mkdirSync(run, { mode: 0o700 });
  const hosts = { odd: { exec: { command: ["/bin/false"] } } };
  writeFileSync(join(cwd, "mitogen.config.json"), JSON.stringify({ hosts }));
  const env = { XDG_STATE_HOME: join(cwd, "state"), XDG_RUNTIME_DIR: run };
  const { code, stdout } = await mitogen(["up", "--on", "odd"], { cwd, env });
  assert.equal(code, 3);
  assert.match(stdout, /kept {2}0 of 1 host/);
  const folder = join(run, "mitogen");
  assert.notDeepEqual(existsSync(folder) && readdirSync(folder), []);
  await untilEmpty(folder);
  assert.equal((await mitogen(["down"], { cwd, env })).stdout, "No connections are kept.\n");
});

function untilEmpty(folder: string): Promise<void> {
  return new Promise((resolve) => {
    const look = (): void => {
      if (readdirSync(folder).length > 0) return;
      watcher.close();
      resolve();
    };
    const watcher = watch(folder, look);
    look();
  });
}
