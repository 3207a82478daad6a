import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import * as fs from "node:fs";
import { join } from "node:path";
import { after, beforeEach, describe, it } from "node:test";
import {
  type Context,
  getFile,
  type LogRecord,
  type ProvisionProgress,
  putFile,
  Router,
  StreamError,
} from "../../src/index.ts";
import * as remote from "../fixtures/remote/functions.ts";
import * as withMitogen from "../fixtures/remote/with-mitogen.ts";
import { collectLogs } from "../support/collect-logs.ts";
import { skipReason } from "../support/lab.ts";
import { checkLeaks, processesGone } from "../support/leak-check.ts";
import { clearHost, keptAt, pathAt, sshToHost } from "../support/nodeless-hosts.ts";
import { machineRoom, runtimes } from "../support/provisioning.ts";

checkLeaks({ ignoreCommand: /esbuild/ });

const { parent } = machineRoom();
const logs = collectLogs();
after(() => logs.stop());
const skip = skipReason();

/** What every context can do. `node` is where its own must be. */
async function goes(router: Router, context: Context, node: RegExp): Promise<void> {
  const exe = await context.call(fs.readlinkSync, "/proc/self/exe");
  assert.match(exe, node);
  assert.equal(await context.call(remote.add, 2, 3), 5);
  const before = logs.records.length;
  // A module that has others.
  await context.call(withMitogen.logEveryLevel);
  const isOwn = ({ logger, mitogenName }: LogRecord): boolean =>
    logger === `mitogen.ctx.${context.name}` && mitogenName === "app.remote";
  assert.equal(logs.records.slice(before).filter(isOwn).length, 4);
  const bytes = randomBytes(100_000);
  const folder = exe.slice(0, exe.lastIndexOf("/"));
  await putFile(context, `${folder}/a file`, bytes);
  const back = join(parent, "back");
  await getFile(context, `${folder}/a file`, back);
  assert.deepEqual(fs.readFileSync(back), bytes);
  await context.call(fs.unlinkSync, `${folder}/a file`);
  const below = await router.local({ via: context });
  assert.equal(await below.call(fs.readlinkSync, "/proc/self/exe"), exe);
  const pids = [await below.call(remote.pid), await context.call(remote.pid)];
  await context.shutdown();
  await below.disconnected;
  assert.deepEqual(await processesGone(pids, 10_000), []);
}

const HOME = /^\/home\/mitogen-nonode\/\.cache\/mitogen\/\w{64}\/node$/;
const VAR_TMP = /^\/var\/tmp\/mitogen-\d+\/\w{64}\/node$/;
const TMP = /^\/tmp\/mitogen-\d+\/\w{64}\/node$/;

describe("a host gets a node, works, and keeps it", { skip }, () => {
  const hosts: [name: string, node: RegExp][] = [
    ["busybox", HOME],
    ["musl", HOME],
    ["debian", HOME],
    ["old node", HOME],
    ["no gzip", HOME],
    ["no gzip, no sum", HOME],
    ["noexec home and tmp", VAR_TMP],
    ["read-only root", TMP],
    ["full folder", VAR_TMP],
    ["home of another", VAR_TMP],
  ];
  for (const [name, node] of hosts) {
    it(name, async () => {
      clearHost(name);
      let uploads = 0;
      await using router = new Router(undefined, { provision: "cache", runtimes });
      const onProgress = ({ sentBytes, totalBytes }: ProvisionProgress): void => {
        if (sentBytes === totalBytes) uploads += 1;
      };
      const options = { ...sshToHost(name), onProgress };
      try {
        for (let i = 0; i < 2; i++) await goes(router, await router.ssh(options), node);
        assert.equal(uploads, 1);
        const kept = keptAt(name);
        assert.equal(kept.filter((path) => node.test(path)).length, 1, kept.join());
        assert.deepEqual(
          kept.filter((path) => /\.(part|try)/.test(path)),
          [],
        );
      } finally {
        clearHost(name);
      }
    });
  }
});

describe("a login that is given a node", { skip }, () => {
  beforeEach(() => clearHost("debian"));

  for (const mask of ["077", "000"]) {
    it(`keeps its umask ${mask}, and nothing is for others`, async () => {
      const name = `umask ${mask}`;
      await using router = new Router(undefined, { provision: "cache", runtimes });
      for (let i = 0; i < 2; i++) {
        const context = await router.ssh(sshToHost(name, "mitogen-bash"));
        assert.equal(await context.call(process.umask), Number.parseInt(mask, 8));
      }
      const kept = keptAt(name);
      assert.ok(kept.some((path) => path.endsWith("/node")));
      for (const path of ["/home/mitogen-bash/.cache/mitogen", ...kept]) {
        assert.equal(fs.statSync(pathAt(name, path)).mode & 0o077, 0, path);
      }
    });
  }

  for (const shell of ["dash", "bash", "zsh", "fish", "tcsh"]) {
    it(`has the shell ${shell}`, async () => {
      const name = `mitogen-${shell}`;
      const node = new RegExp(`^/home/${name}/.cache/mitogen/\\w{64}/node$`);
      await using router = new Router(undefined, { provision: "cache", runtimes });
      for (let i = 0; i < 2; i++) await goes(router, await router.ssh(sshToHost("debian", name)), node);
    });
  }
});

describe("a host that cannot be given a node", { skip }, () => {
  const hosts: [name: string, code: string, ...message: RegExp[]][] = [
    [
      "noexec everywhere",
      "ERR_PROVISION",
      /\/home\/mitogen-nonode\/\.cache\/mitogen: nothing may be run there: .*denied/,
      /\/var\/tmp\/mitogen-\d+: nothing may be run there/,
      /\/tmp\/mitogen-\d+: nothing may be run there/,
      /set XDG_CACHE_HOME there .*provision: "memory"/,
    ],
    [
      "read-only everywhere",
      "ERR_PROVISION",
      /\/home\/mitogen-nonode\/\.cache\/mitogen: .*Read-only file system/,
      /\/var\/tmp\/mitogen-\d+: .*Read-only file system/,
      /; \/tmp\/mitogen-\d+: .*Read-only file system/,
      /set XDG_CACHE_HOME there .*provision: "memory"/,
    ],
    [
      "full disk",
      "ERR_NO_SPACE",
      /has the \d+ MiB that node takes/,
      /\/home\/mitogen-nonode\/\.cache\/mitogen: only \d MiB free/,
      /\/var\/tmp\/mitogen-\d+: only \d MiB free/,
      /; \/tmp\/mitogen-\d+: only \d MiB free/,
      /make room there/,
    ],
  ];
  for (const [name, code, ...messages] of hosts) {
    it(`fails its connect: ${name}`, async () => {
      await using router = new Router(undefined, { provision: "cache", runtimes });
      await assert.rejects(router.ssh(sshToHost(name)), (error) => {
        assert.ok(error instanceof StreamError, String(error));
        assert.equal(error.code, code, error.message);
        assert.equal(error.details?.stage, "provision");
        for (const message of messages) assert.match(error.message, message);
        return true;
      });
      assert.deepEqual(keptAt(name), []);
    });
  }

  for (const name of ["busybox", "old node"]) {
    it(`fails without being asked for one, and the error names the option: ${name}`, async () => {
      clearHost(name);
      await using router = new Router();
      await assert.rejects(router.ssh(sshToHost(name)), (error) => {
        assert.ok(error instanceof StreamError, String(error));
        assert.equal(error.code, name === "busybox" ? "ERR_NO_NODE" : "ERR_NODE_VERSION", error.message);
        assert.match(error.message, /provision: "cache"/);
        return true;
      });
      assert.deepEqual(keptAt(name), []);
    });
  }
});
