import assert from "node:assert/strict";
import * as fs from "node:fs";
import { existsSync, mkdtempSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { Router } from "../../src/index.ts";
import { nodes, skipReason } from "../support/lab.ts";
import { checkLeaks } from "../support/leak-check.ts";
import { failureOf, kept, machineRoom, nodelessSkip, runtimes } from "../support/provisioning.ts";

checkLeaks({ ignoreCommand: /esbuild/ });

const skip = nodelessSkip() || skipReason();
const { machine, parent } = machineRoom();

describe("a connect that cannot send a node", { skip }, () => {
  const everywhere = (options: string): string =>
    ["root", "var/tmp", "tmp"].map((each) => `mount -t tmpfs -o ${options} none "$R/${each}"`).join(" && ");
  const cases: [what: string, prepare: string, code: string, message: RegExp][] = [
    [
      "because no folder lets programs be run",
      everywhere("noexec,mode=1777"),
      "ERR_PROVISION",
      /nothing may be run there.*memory/,
    ],
    ["because nothing can be written", everywhere("ro"), "ERR_PROVISION", /Read-only file system/],
    ["because there is no room", everywhere("size=4m,mode=1777"), "ERR_NO_SPACE", /only \d MiB free/],
  ];
  for (const [what, prepare, code, message] of cases) {
    it(`fails ${what}`, async () => {
      const box = machine();
      await using router = new Router(undefined, { provision: "cache", runtimes });
      const hop = await router.local();
      for (const via of [undefined, hop]) {
        const error = await failureOf(router, { command: box.command({ prepare }), via });
        assert.equal(error.code, code, error.message);
        assert.equal(error.details?.stage, "provision");
        assert.match(error.message, message);
      }
    });
  }

  /** Runs on this machine with a PATH of a few of its commands and the given scripts. `more` are further mounts. */
  const bare = (scripts: Readonly<Record<string, string>>, more = ":"): string[] => {
    const folder = mkdtempSync(join(parent, "bare-"));
    const names =
      "sh head gzip tail ls id uname mkdir chmod rm rmdir mv find sha256sum dd printf touch df setsid";
    for (const name of names.split(" ")) {
      const path = ["/usr/bin", "/bin"].map((each) => join(each, name)).find((each) => existsSync(each));
      if (path !== undefined && !(name in scripts)) symlinkSync(path, join(folder, name));
    }
    for (const [name, text] of Object.entries(scripts)) {
      writeFileSync(join(folder, name), `#!/bin/sh\n${text}\n`, { mode: 0o755 });
    }
    const enter = `mount --bind "${folder}" /mnt && ${more} && exec "$@"`;
    return ["unshare", "-m", "sh", "-c", enter, "sh", "/usr/bin/env", "-i", "PATH=/mnt", "HOME=/srv"];
  };

  it("fails because the disk is full although df reported room", async () => {
    const full = ["srv", "var/tmp", "tmp"].map((each) => `mount -t tmpfs -o size=4m,mode=1777 none /${each}`);
    const command = bare({ df: "echo; echo none 1 1 999999999 1" }, full.join(" && "));
    await using router = new Router(undefined, { provision: "cache", runtimes });
    const error = await failureOf(router, { command });
    assert.equal(error.code, "ERR_NO_SPACE", error.message);
    assert.match(error.message, /there is no room for node in \/srv\/.cache\/mitogen.*No space left/);
  });

  it("fails because the target lacks a program for receiving it", async () => {
    const box = machine({ without: ["head"] });
    await using router = new Router(undefined, { provision: "cache", runtimes });
    const error = await failureOf(router, { command: box.command() });
    assert.equal(error.code, "ERR_PROVISION", error.message);
    assert.match(error.message, /the target has no head.*busybox/s);
  });

  const checks = {
    "sha256sum while it arrives": [],
    sha256sum: ["tee"],
    "its length": ["sha256sum", "openssl"],
  };
  for (const [by, without] of Object.entries(checks)) {
    it(`fails because other bytes arrive than were sent, according to ${by}`, async () => {
      const gzip = "/bin/busybox gzip -dc | /bin/busybox head -c 20000000";
      const box = machine({ without, scripts: { gzip } });
      await using router = new Router(undefined, { provision: "cache", runtimes });
      const error = await failureOf(router, { command: box.command() });
      assert.equal(error.code, "ERR_PROVISION", error.message);
      assert.match(
        error.message,
        /what has arrived in \/root\/\.cache\/mitogen of the target is not what was sent/,
      );
      assert.deepEqual(kept(join(box.root, "root/.cache/mitogen")), { copies: [], parts: [] });
    });
  }

  it("fails because there is no node for the architecture", async () => {
    const command = bare({ uname: "[ $1 = -n ] && echo there || echo Linux aarch64" });
    await using router = new Router(undefined, { provision: "cache" });
    const hop = await router.local();
    for (const via of [undefined, hop]) {
      const error = await failureOf(router, { command, via });
      assert.equal(error.code, "ERR_NO_RUNTIME");
      assert.match(error.message, /linux-arm64.*addRuntime\("linux-arm64@22"\)/);
      assert.equal(error.details?.arch, "arm64");
      assert.equal(error.details?.stage, "provision");
    }
  });

  it("fails because the node does not run there", async () => {
    const broken = join(parent, "broken");
    const bytes = fs.readFileSync(nodes[12] ?? process.execPath);
    // Erases the names of the libraries that the executable needs.
    writeFileSync(broken, bytes.fill(0, 4096, 1 << 20), { mode: 0o755 });
    const box = machine();
    await using router = new Router(undefined, { provision: "cache", runtimes: { "linux-x64": broken } });
    const error = await failureOf(router, { command: box.command() });
    assert.equal(error.code, "ERR_NO_RUNTIME", error.message);
    assert.match(error.message, /does not run on the target/);
    assert.deepEqual(kept(join(box.root, "root/.cache/mitogen")), { copies: [], parts: [] });
  });
});
