import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { type Context, Router } from "../../src/index.ts";
import { builtinCalls, callBuiltin, refusalOf } from "../fixtures/remote/builtin-calls.ts";
import { type CollectedLogs, collectLogs } from "../support/collect-logs.ts";
import { nodes, skipReason } from "../support/lab.ts";
import { checkLeaks } from "../support/leak-check.ts";

checkLeaks({ ignoreCommand: /esbuild/ });

for (const major of ["12", "18", "20", "26"]) {
  const skip = nodes[major] === undefined ? skipReason() : false;
  describe(`functions of Node and of the language, on Node ${major}`, { skip }, () => {
    let router: Router;
    let logs: CollectedLogs;
    let near: Context;
    let far: Context;
    before(async () => {
      router = new Router();
      logs = collectLogs();
      const nodePath = nodes[major] as string;
      near = await router.local({ nodePath });
      far = await router.local({ nodePath, via: near });
    });
    after(async () => {
      await router.shutdown();
      logs.stop();
    });

    for (const [name, [fn, args, value]] of Object.entries(builtinCalls)) {
      it(`${name} is called by the program`, async () => {
        assert.deepEqual(await near.call(fn as never, ...(args as never[])), value);
      });
      it(`${name} is called by a context`, async () => {
        assert.deepEqual(await near.call(callBuiltin, far, name), value);
      });
    }
    it("are found without a warning", () => {
      assert.deepEqual(
        logs.records.filter(({ level }) => level !== "debug").map(({ message }) => message),
        [],
      );
    });
    it("do not include what a module keeps to itself: a context refuses that, and says what to do", async () => {
      assert.match(
        await near.call(refusalOf, far),
        /^Cannot call function local in another process: .*; export it, or use ref\(\)$/,
      );
    });
  });
}
