import assert from "node:assert/strict";
import * as childProcess from "node:child_process";
import * as fs from "node:fs";
import { mkdirSync, readdirSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { type ProvisionProgress, Router } from "../../src/index.ts";
import * as remote from "../fixtures/remote/functions.ts";
import { nodes, skipReason } from "../support/lab.ts";
import { checkLeaks } from "../support/leak-check.ts";
import { failureOf, kept, machineRoom, nodelessSkip, runtimes } from "../support/provisioning.ts";

checkLeaks({ ignoreCommand: /esbuild/ });

const skip = nodelessSkip();
const { machine } = machineRoom();

describe("a machine that has only busybox and no libraries", { skip }, () => {
  it("gets a node once and keeps it", async () => {
    const box = machine();
    await using router = new Router(undefined, { provision: "cache", runtimes });
    const told: ProvisionProgress[] = [];
    const context = await router.exec({ command: box.command(), onProgress: (each) => void told.push(each) });
    assert.equal(await context.call(remote.add, 2, 3), 5);
    const folder = join(box.root, "root/.cache/mitogen");
    const { copies, parts } = kept(folder);
    assert.deepEqual([copies.length, parts], [1, []]);
    const node = `/root/.cache/mitogen/${copies[0]}`;
    assert.equal(await context.call(fs.readlinkSync, "/proc/self/exe"), node);
    assert.equal(statSync(folder).mode & 0o777, 0o700);
    assert.equal(statSync(join(box.root, node)).mode & 0o777, 0o700);
    assert.deepEqual([told.at(-1)?.sentBytes, told.at(-1)?.method], [told.at(-1)?.totalBytes, "exec"]);
    // The node can also be started there by path.
    assert.equal(
      String(await context.call(childProcess.execFileSync, node, ["-p", "process.execPath"])).trim(),
      node,
    );
    const below = await router.local({ via: context });
    assert.equal(await below.call(fs.readlinkSync, "/proc/self/exe"), node);
    const before = router.getStats().bytesSent;
    const again = await router.exec({ command: box.command() });
    assert.equal(await again.call(remote.add, 4, 5), 9);
    assert.ok(router.getStats().bytesSent - before < 200_000, "the node was uploaded again");
  });

  it("gets one upload for many connects at once", async () => {
    const box = machine();
    await using router = new Router(undefined, { provision: "cache", runtimes });
    let uploads = 0;
    const onProgress = ({ sentBytes, totalBytes }: ProvisionProgress): void => {
      if (sentBytes === totalBytes) uploads += 1;
    };
    const contexts = await Promise.all(
      Array.from({ length: 10 }, () => router.exec({ command: box.command(), onProgress })),
    );
    for (const context of contexts) assert.equal(await context.call(remote.add, 1, 1), 2);
    assert.equal(uploads, 1);
    assert.deepEqual(kept(join(box.root, "root/.cache/mitogen")).parts, []);
  });

  it("gets no node without provision, and the error names that option", async () => {
    const box = machine();
    await using router = new Router();
    const hop = await router.local();
    for (const via of [undefined, hop]) {
      const error = await failureOf(router, { command: box.command(), via });
      assert.equal(error.code, "ERR_NO_NODE");
      assert.match(error.message, /provision: "cache"/);
    }
    const denied = new Router(undefined, { provision: "cache" });
    const error = await failureOf(denied, { command: box.command(), provision: false });
    assert.equal(error.code, "ERR_NO_NODE");
    await denied.shutdown();
  });

  for (const [what, without] of Object.entries({
    "no gzip, no sha256sum": ["gzip", "gunzip", "zcat", "sha256sum", "openssl"],
    "no sha256sum": ["sha256sum"],
    "no tee": ["tee"],
  })) {
    it(`needs ${what}`, { skip: skip || skipReason() }, async () => {
      const box = machine({ without });
      await using router = new Router(undefined, { provision: "cache", runtimes });
      let bytes = 0;
      const context = await router.exec({
        command: box.command(),
        onProgress({ totalBytes }) {
          bytes = totalBytes;
        },
      });
      assert.equal(await context.call(remote.add, 2, 3), 5);
      // Without gzip the upload is three times as large.
      assert.equal(bytes > 30_000_000, without.includes("gzip"), `${bytes} bytes`);
    });
  }

  it("gets a node if its own does not work", async () => {
    const scripts = {
      "too old": 'echo "$0: bad option: --input-type=commonjs" >&2; exit 9',
      "of another machine": "exec /etc/passwd",
      "not to be run": "exit 126",
    };
    await using router = new Router(undefined, { provision: "cache", runtimes });
    for (const [what, script] of Object.entries(scripts)) {
      const box = machine({ scripts: { node: `echo >>/root/tried; ${script}` } });
      for (let i = 0; i < 2; i++) {
        const context = await router.exec({ command: box.command() });
        assert.match(await context.call(fs.readlinkSync, "/proc/self/exe"), /\/\.cache\/mitogen\//, what);
      }
      // The second connect does not try the machine's own node again.
      assert.equal(statSync(join(box.root, "root/tried")).size, 1, what);
    }
  });

  for (const mask of ["000", "077", "022"]) {
    it(`keeps the login's umask ${mask}`, async () => {
      const box = machine();
      await using router = new Router(undefined, { provision: "cache", runtimes });
      const command = box.command({ prepare: `umask ${mask}` });
      for (let i = 0; i < 2; i++) {
        const context = await router.exec({ command });
        assert.equal(await context.call(process.umask), Number.parseInt(mask, 8));
      }
      const folder = join(box.root, "root/.cache/mitogen");
      for (const name of readdirSync(folder, { recursive: true, encoding: "utf8" })) {
        assert.equal(statSync(join(folder, name)).mode & 0o077, 0, name);
      }
    });
  }
});

it("a machine with musl gets the runtime for musl, if there is one", {
  skip: skip || skipReason(),
}, async () => {
  const box = machine();
  mkdirSync(join(box.root, "lib"));
  writeFileSync(join(box.root, "lib/ld-musl-x86_64.so.1"), "");
  // A stand-in for a build for musl: another Node, which also runs there.
  const musl = { "linux-x64": nodes[12] as string, "linux-x64-musl": nodes[14] as string };
  await using router = new Router(undefined, { provision: "cache", runtimes: musl });
  const context = await router.exec({ command: box.command() });
  const exe = await context.call(fs.readlinkSync, "/proc/self/exe");
  assert.match(String(await context.call(childProcess.execFileSync, exe, ["-v"])), /^v14\./);
});

it("provision sends nothing more to a target that has a node", async () => {
  const sent = async (provision: false | "cache"): Promise<number> => {
    await using router = new Router(undefined, { provision });
    const context = await router.local({ name: "same", remoteName: "same" });
    await context.call(process.cwd);
    return router.getStats().bytesSent;
  };
  assert.equal(await sent("cache"), await sent(false));
});
