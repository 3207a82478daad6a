import assert from "node:assert/strict";
import { mkdtempSync, realpathSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { type Draft, DraftCache } from "../../../src/loader/compile/draft-cache.ts";
import { ModuleError } from "../../../src/loader/module-error.ts";
import { setEnvironment } from "../../support/temporary-folder.ts";

const DRAFT: Draft = { format: "module", source: "export const a = '\u2028 \ud800 ä';\n", map: "{}" };

function cacheHome(t: TestContext): void {
  const home = realpathSync(mkdtempSync(join(tmpdir(), "mitogen-cache-")));
  t.after(() => rmSync(home, { recursive: true, force: true }));
  setEnvironment(t, { XDG_CACHE_HOME: home, MITOGEN_CACHE: "" });
}

/** Asks for a draft, as another program would. Says whether the draft had to be made. */
async function draft(inputs: unknown[], tools: string[] = [], made: Draft | Error = DRAFT) {
  let isMade = false;
  const make = async (): Promise<Draft> => {
    isMade = true;
    if (made instanceof Error) throw made;
    return made;
  };
  const value = await new DraftCache().draft(inputs, tools, make).catch((error: Error) => error);
  return { value, isMade };
}

test("DraftCache makes a draft once for the same inputs, and returns it unchanged", async (t) => {
  cacheHome(t);
  assert.deepEqual(await draft(["a", null, ["b"]]), { value: DRAFT, isMade: true });
  assert.deepEqual(await draft(["a", null, ["b"]]), { value: DRAFT, isMade: false });
  const others = [
    ["a", null, ["b", "c"]],
    ["a", undefined, ["b"], 1],
    ["a", null, "b"],
    ["A", null, ["b"]],
  ];
  for (const inputs of others) assert.equal((await draft(inputs)).isMade, true, JSON.stringify(inputs));
  assert.equal((await draft(["a", null, ["b"]], ["acorn"])).isMade, true);
  assert.equal((await draft(["a", null, ["b"]], ["acorn"])).isMade, false);
});

test("DraftCache keeps nothing if a package cannot be found, as in a bundle", async (t) => {
  cacheHome(t);
  for (let turn = 0; turn < 2; turn++) assert.equal((await draft(["a"], ["no-such-package"])).isMade, true);
});

test("DraftCache keeps the failure of an entry script that cannot be sent, and no other failure", async (t) => {
  cacheHome(t);
  const refusal = new ModuleError("ERR_MODULE_ENTRY", "Cannot send it");
  const { value } = await draft(["entry"], [], refusal);
  assert.equal(value, refusal);
  const again = await draft(["entry"]);
  assert.ok(again.value instanceof ModuleError);
  const { code, message } = again.value;
  assert.deepEqual([again.isMade, code, message], [false, "ERR_MODULE_ENTRY", "Cannot send it"]);
  const broken = new ModuleError("ERR_MODULE_COMPILE", "broken");
  assert.equal((await draft(["broken"], [], broken)).value, broken);
  assert.deepEqual(await draft(["broken"]), { value: DRAFT, isMade: true });
});
