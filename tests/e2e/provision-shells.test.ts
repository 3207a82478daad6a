import assert from "node:assert/strict";
import * as fs from "node:fs";
import { existsSync, mkdtempSync, readdirSync, rmSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { Router } from "../../src/index.ts";
import * as remote from "../fixtures/remote/functions.ts";
import { skipReason } from "../support/lab.ts";
import { checkLeaks } from "../support/leak-check.ts";
import { kept, machineRoom, nodelessSkip, runtimes } from "../support/provisioning.ts";
import { sshTo } from "../support/ssh-options.ts";

checkLeaks({ ignoreCommand: /esbuild/ });

const skip = nodelessSkip();
const { parent } = machineRoom();

describe("another shell than busybox's", { skip: skip || skipReason() }, () => {
  for (const shell of ["dash", "bash", "zsh", "ksh", "mksh"]) {
    it(`receives a node in place of sh: ${shell}`, async () => {
      const path = ["/bin", "/usr/bin"].map((each) => join(each, shell)).find((each) => existsSync(each));
      assert.ok(path !== undefined, `the lab has no ${shell}`);
      const folder = mkdtempSync(join(parent, "path-"));
      for (const name of readdirSync("/bin")) {
        if (!/^node|^sh$/.test(name)) symlinkSync(join("/bin", name), join(folder, name));
      }
      symlinkSync(path, join(folder, "sh"));
      const home = mkdtempSync(join(parent, "home of a shell "));
      const command = ["env", "-i", `PATH=${folder}`, `HOME=${home}`];
      await using router = new Router(undefined, { provision: "cache", runtimes });
      for (let i = 0; i < 2; i++) {
        const context = await router.exec({ command });
        assert.equal(await context.call(remote.add, 2, 3), 5);
        assert.ok((await context.call(fs.readlinkSync, "/proc/self/exe")).startsWith(home));
      }
      const { copies, parts } = kept(join(home, ".cache/mitogen"));
      assert.deepEqual([copies.length, parts], [1, []]);
    });
  }

  for (const name of ["dash", "bash", "zsh", "fish", "tcsh", "rbash"]) {
    it(`may be the login shell: ${name}`, async () => {
      const account = `mitogen-${name}`;
      try {
        await using router = new Router(undefined, { provision: "cache", runtimes });
        // Hides the account's own node.
        const context = await router.ssh(sshTo(account, { nodePath: "/nonexistent/node" }));
        assert.match(await context.call(fs.readlinkSync, "/proc/self/exe"), /\/\.cache\/mitogen\//);
        assert.equal(await context.call(remote.add, 2, 3), 5);
      } finally {
        rmSync(`/home/${account}/.cache/mitogen`, { recursive: true, force: true });
      }
    });
  }
});
