import assert from "node:assert/strict";
import * as childProcess from "node:child_process";
import * as fs from "node:fs";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync } from "node:fs";
import * as os from "node:os";
import { join } from "node:path";
import { describe, it } from "node:test";
import { type Context, Router } from "../../src/index.ts";
import * as remote from "../fixtures/remote/functions.ts";
import { skipReason } from "../support/lab.ts";
import { part } from "../support/lab-methods.ts";
import { checkLeaks } from "../support/leak-check.ts";
import { kept, machineRoom, nodelessSkip, runtimes } from "../support/provisioning.ts";

checkLeaks({ ignoreCommand: /esbuild/ });

const skip = nodelessSkip();
const { machine, parent } = machineRoom();

describe("behind a hop", { skip }, () => {
  it("30 targets get a node, which crosses the program's link once", async () => {
    const box = machine();
    await using router = new Router(undefined, { runtimes });
    const hop = await router.local({ name: "hop", provision: "cache" });
    let packedBytes = 0;
    let uploads = 0;
    const bring = async (home: string): Promise<Context> => {
      mkdirSync(join(box.root, home));
      return await router.exec({
        via: hop,
        command: box.command({ home }),
        onProgress({ sentBytes, totalBytes }) {
          packedBytes = totalBytes;
          if (sentBytes === totalBytes) uploads += 1;
        },
      });
    };
    // Another home makes another target. Only ten at once, because each copy takes room on the disk.
    let last: Context | undefined;
    for (let wave = 0; wave < 3; wave++) {
      const homes = Array.from({ length: 10 }, (_, i) => `/home/h${wave}${i}`);
      const contexts = await Promise.all(homes.map(bring));
      for (const [i, context] of contexts.entries()) {
        assert.equal(await context.call(remote.add, 1, 1), 2);
        assert.equal(kept(join(box.root, homes[i] as string, ".cache/mitogen")).copies.length, 1);
      }
      last = contexts.pop();
      await Promise.all(contexts.map((context) => context.shutdown()));
      for (const home of homes.slice(0, -1)) rmSync(join(box.root, home), { recursive: true });
    }
    assert.equal(uploads, 30);
    const { bytesSent } = router.getStats();
    assert.ok(bytesSent >= packedBytes, "the node was not sent");
    assert.ok(bytesSent < 1.2 * packedBytes, `${bytesSent} bytes for a pack of ${packedBytes}`);
    // The next target is behind a context that was sent its node.
    mkdirSync(join(box.root, "home/last"));
    const nested = await router.exec({
      via: last as Context,
      command: ["/bin/busybox", "env", "-i", "PATH=/bin", "HOME=/home/last"],
    });
    assert.match(await nested.call(fs.readlinkSync, "/proc/self/exe"), /^\/home\/last\//);
    assert.ok(router.getStats().bytesSent < 1.3 * packedBytes);
  });
});

describe("behind a context that was sent its node", { skip: skip || skipReason() }, () => {
  it("another user and a container get a node the same way", async () => {
    const home = mkdtempSync(join(parent, "home-"));
    const folder = mkdtempSync(join(parent, "path-"));
    const programs = {
      "/bin": "sh id uname ls mkdir rm mv chmod head gzip tail df",
      "/usr/bin": "setsid sudo sha256sum find dd printf",
    };
    for (const [from, names] of Object.entries(programs)) {
      for (const name of names.split(" ")) symlinkSync(join(from, name), join(folder, name));
    }
    const box = machine();
    const { path } = part("docker");
    const image = "mitogen-nodeless-behind";
    childProcess.execFileSync("sh", [
      "-c",
      `tar -C "$1" --exclude=./proc --exclude=./dev -c . | "$2" import - ${image}`,
      "sh",
      box.root,
      path,
    ]);
    try {
      await using router = new Router(undefined, { runtimes });
      const command = ["env", "-i", `PATH=${folder}`, `HOME=${home}`];
      const base = await router.exec({ command, provision: "cache" });
      assert.match(await base.call(fs.readlinkSync, "/proc/self/exe"), /\.cache\/mitogen\//);
      const { target } = part("become");
      const user = await router.sudo({ via: base, username: target });
      assert.equal((await user.call(os.userInfo)).username, target);
      // Its own copy or a node that it finds, but never the copy that the other user may change.
      const exe = await user.call(fs.readlinkSync, "/proc/self/exe");
      assert.ok(!exe.startsWith(home), exe);
      const container = await router.docker({ via: base, dockerPath: path, image });
      assert.equal(await container.call(remote.add, 2, 3), 5);
      const inside = await router.local({ via: container });
      assert.equal(await inside.call(remote.add, 3, 4), 7);
    } finally {
      childProcess.execFileSync(path, ["rmi", "-f", image]);
      rmSync(`/home/${part("become").target}/.cache/mitogen`, { recursive: true, force: true });
    }
  });
});
