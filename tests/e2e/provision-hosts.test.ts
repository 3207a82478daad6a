import assert from "node:assert/strict";
import * as fs from "node:fs";
import { after, beforeEach, describe, it } from "node:test";
import { type ProvisionProgress, Router, StreamError } from "../../src/index.ts";
import * as remote from "../fixtures/remote/functions.ts";
import { collectLogs } from "../support/collect-logs.ts";
import { nodes, skipReason } from "../support/lab.ts";
import { checkLeaks } from "../support/leak-check.ts";
import { clearHost, goes, keptAt, pathAt, sshToHost } from "../support/nodeless-hosts.ts";
import { machineRoom, runtimes } from "../support/provisioning.ts";

checkLeaks({ ignoreCommand: /esbuild/ });

machineRoom();
const logs = collectLogs();
after(() => logs.stop());
const skip = skipReason();

const HOME = /^\/home\/mitogen-nonode\/\.cache\/mitogen\/\w{64}\/node$/;
const VAR_TMP = /^\/var\/tmp\/mitogen-\d+\/\w{64}\/node$/;
const TMP = /^\/tmp\/mitogen-\d+\/\w{64}\/node$/;

describe("a host gets a node, runs it, and keeps it", { skip }, () => {
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
        await goes(logs, router, await router.ssh(options), node);
        const again = await router.ssh(options);
        assert.match(await again.call(fs.readlinkSync, "/proc/self/exe"), node);
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

describe("a host that lacks a library runs the packed node that", { skip }, () => {
  for (const major of ["22", "24", "26"]) {
    it(`is a Node ${major}`, async () => {
      clearHost("busybox");
      try {
        const own = { "linux-x64": nodes[major] as string };
        await using router = new Router(undefined, { provision: "cache", runtimes: own });
        const context = await router.ssh(sshToHost("busybox"));
        const { version } = await context.call(remote.describeProcess);
        assert.ok(version.startsWith(`v${major}.`), version);
      } finally {
        clearHost("busybox");
      }
    });
  }
});

describe("a login that is given a node", { skip }, () => {
  beforeEach(() => clearHost("debian"));

  for (const mask of ["077", "000"]) {
    it(`keeps its umask ${mask}, and others may access nothing`, async () => {
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
    it(`may have the shell ${shell}`, async () => {
      const name = `mitogen-${shell}`;
      const node = new RegExp(`^/home/${name}/.cache/mitogen/\\w{64}/node$`);
      await using router = new Router(undefined, { provision: "cache", runtimes });
      await goes(logs, router, await router.ssh(sshToHost("debian", name)), node);
      const again = await router.ssh(sshToHost("debian", name));
      assert.match(await again.call(fs.readlinkSync, "/proc/self/exe"), node);
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
      /has the \d+ MiB that node needs/,
      /\/home\/mitogen-nonode\/\.cache\/mitogen: only \d MiB free/,
      /\/var\/tmp\/mitogen-\d+: only \d MiB free/,
      /; \/tmp\/mitogen-\d+: only \d MiB free/,
      /make room there/,
    ],
  ];
  for (const [name, code, ...messages] of hosts) {
    it(`fails the connect: ${name}`, async () => {
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
    it(`fails without provision, and the error names that option: ${name}`, async () => {
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
