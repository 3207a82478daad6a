/** A target without node that needs no lab: this machine with another PATH. */
import assert from "node:assert/strict";
import * as fs from "node:fs";
import { join } from "node:path";
import { before, test } from "node:test";
import { Router } from "../../../../src/index.ts";
import * as remote from "../../../fixtures/remote/functions.ts";
import { isCi } from "../../../support/extent.ts";
import { checkLeaks } from "../../../support/leak-check.ts";
import { kept, machineRoom, runtimes } from "../../../support/provisioning.ts";

checkLeaks({ ignoreCommand: /esbuild/ });

const skip = process.platform !== "linux" && "packs are of Linux";
const { parent } = machineRoom();
const home = join(parent, "home");
const tools = join(parent, "tools");

before(() => {
  for (const each of [home, tools]) fs.mkdirSync(each, { mode: 0o700 });
  for (const folder of ["/usr/bin", "/bin"]) {
    for (const name of fs.readdirSync(folder)) {
      if (/^(node|nodejs)$/.test(name) || fs.existsSync(join(tools, name))) continue;
      try {
        fs.symlinkSync(join(folder, name), join(tools, name));
      } catch {
        // The name exists already, as a link to nothing.
      }
    }
  }
});

/** A busy machine takes long to pack and to unpack a node. */
const timeoutMs = 240_000;
const command = ["/usr/bin/env", "-i", `PATH=${tools}`, `HOME=${home}`];

test("the library brings a node to a target without one, and connects through a hop find that node", {
  skip,
}, async () => {
  await using router = new Router(undefined, { provision: "cache", runtimes });
  const context = await router.exec({ command, timeoutMs });
  assert.equal(await context.call(remote.add, 2, 3), 5);
  const folder = join(home, ".cache/mitogen");
  const { copies, parts } = kept(folder);
  assert.deepEqual([copies.length, parts], [1, []]);
  const node = fs.realpathSync(join(folder, copies[0] as string));
  assert.equal(await context.call(fs.readlinkSync as (path: string) => string, "/proc/self/exe"), node);
  const sent = router.getStats().bytesSent;
  const hop = await router.local();
  const again = await router.exec({ command, via: hop });
  assert.equal(await again.call(fs.readlinkSync as (path: string) => string, "/proc/self/exe"), node);
  assert.ok(router.getStats().bytesSent - sent < 1_000_000, "it was uploaded again");
});

test("a target that keeps no file runs a node from memory", { skip }, async (t) => {
  // The lab has python3.
  if (!isCi && !fs.existsSync("/usr/bin/python3")) return t.skip("needs python3");
  await using router = new Router(undefined, { provision: "memory", runtimes });
  const context = await router.exec({ command: [...command, `HOME=${join(parent, "none")}`], timeoutMs });
  assert.equal(await context.call(remote.add, 2, 3), 5);
  assert.match(
    await context.call(fs.readlinkSync as (path: string) => string, "/proc/self/exe"),
    /^\/memfd:/,
  );
  assert.equal(fs.existsSync(join(parent, "none")), false);
});
