import assert from "node:assert/strict";
import * as fs from "node:fs";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import * as os from "node:os";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, afterEach, beforeEach, describe, it } from "node:test";
import { putFile, Router, type SshOptions } from "../../src/index.ts";
import * as remote from "../fixtures/remote/functions.ts";
import { collectLogs } from "../support/collect-logs.ts";
import { lab, repoRoot, skipReason } from "../support/lab.ts";
import { part, password } from "../support/lab-methods.ts";
import { checkLeaks } from "../support/leak-check.ts";
import { clearHost, goes, keptAt, sshToHost } from "../support/nodeless-hosts.ts";
import { machineRoom, runtimes } from "../support/provisioning.ts";
import { sshTo } from "../support/ssh-options.ts";

checkLeaks({ ignoreCommand: /esbuild/ });

machineRoom();
const skip = skipReason();
const logs = collectLogs();
after(() => logs.stop());

describe("behind a login that was given a node", { skip }, () => {
  beforeEach(() => {
    clearHost("debian");
    clearHost("busybox");
  });
  afterEach(() => {
    clearHost("debian");
    clearHost("busybox");
  });

  it("another user, a container that root starts, and a context in the container get a node", async () => {
    await using router = new Router(undefined, { runtimes });
    const login = await router.ssh({
      ...sshToHost("debian", "mitogen-sudo-nopw"),
      provision: "cache",
    });
    const { target } = part("become");
    const user = await router.sudo({ via: login, username: target });
    assert.equal((await user.call(os.userInfo)).username, target);
    await goes(logs, router, user, new RegExp(`^/home/${target}/\\.cache/mitogen/\\w{64}/node$`));
    const root = await router.sudo({ via: login });
    assert.match(await root.call(fs.readlinkSync, "/proc/self/exe"), /^\/root\/\.cache\/mitogen\//);
    const { image } = part("nodeless");
    const container = await router.docker({ via: root, dockerPath: part("docker").path, image });
    const inside = await router.local({ via: container });
    assert.notEqual(await inside.call(os.hostname), os.hostname());
    await inside.shutdown();
    await goes(logs, router, container, /^\/(root|tmp|var\/tmp)\S+\/\w{64}\/node$/);
    await goes(logs, router, login, /^\/home\/mitogen-sudo-nopw\/\.cache\/mitogen\/\w{64}\/node$/);
    // Each user has one copy, and no partial copy is left.
    const kept = keptAt("debian");
    assert.equal(kept.filter((path) => /\/\w{64}\/node$/.test(path)).length, 3, kept.join());
    assert.deepEqual(
      kept.filter((path) => /\.(part|try)/.test(path)),
      [],
    );
  });

  it("sudo asks for its password once even if a node has to be sent", async () => {
    let asked = 0;
    await using router = new Router(undefined, { provision: "cache", runtimes });
    const login = await router.ssh(sshToHost("debian", "mitogen-sudo-pw"));
    const { target } = part("become");
    const user = await router.sudo({
      via: login,
      username: target,
      password: async () => {
        asked += 1;
        return password().reveal();
      },
    });
    assert.equal((await user.call(os.userInfo)).username, target);
    assert.equal(asked, 1);
  });

  it("a host that has only busybox gets a node through the login's ssh", async () => {
    const account = "mitogen-bash";
    await using router = new Router(undefined, { runtimes });
    const hop = await router.ssh({ ...sshToHost("debian", account), provision: "cache" });
    const { identityFile, ...there } = sshToHost("busybox");
    const key = `/home/${account}/key`;
    const knownHosts = `/home/${account}/known_hosts`;
    try {
      await putFile(hop, key, readFileSync(identityFile as string), { mode: 0o600 });
      await putFile(hop, knownHosts, readFileSync(part("nodeless").knownHosts));
      const context = await router.ssh({
        ...there,
        via: hop,
        identityFile: key,
        sshArgs: ["-F", "/dev/null", "-o", `UserKnownHostsFile=${knownHosts}`],
      });
      await goes(logs, router, context, /^\/home\/mitogen-nonode\/\.cache\/mitogen\/\w{64}\/node$/);
    } finally {
      for (const path of [key, knownHosts]) await hop.call(fs.unlinkSync, path);
    }
  });
});

describe("over a slow ssh", { skip }, () => {
  // Much longer than a login takes on a busy machine.
  const DELAY_MS = 8000;
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "mitogen-delay-"));
    const proxy = join(repoRoot, "tests/support/delay-proxy.mjs");
    const text = `#!/bin/sh\nexec "${process.execPath}" "${proxy}" --delay-ms ${DELAY_MS} -- ssh "$@"\n`;
    writeFileSync(join(folder, "ssh"), text, { mode: 0o755 });
  });
  afterEach(() => {
    rmSync(folder, { recursive: true });
    clearHost("busybox");
  });

  it("a host with a node costs the same with and without provision, and a host with a copy takes one round trip more", async () => {
    clearHost("busybox");
    const sshPath = join(folder, "ssh");
    // The same names for both hosts, because names count among the bytes.
    const names = { name: "same", remoteName: "same" };
    const measure = async (
      provision: false | "cache",
      options: SshOptions,
    ): Promise<{ ways: number; bytes: number; uploads: number }> => {
      let uploads = 0;
      await using router = new Router(undefined, { provision, runtimes });
      const started = Date.now();
      const context = await router.ssh({
        ...options,
        ...names,
        sshPath,
        onProgress: () => void uploads++,
        timeoutMs: 120_000,
      });
      // The proxy delays only input and output, not the command line.
      const ways = Math.floor((Date.now() - started) / DELAY_MS);
      assert.equal(await context.call(remote.add, 2, 3), 5);
      return { ways, bytes: router.getStats().bytesSent, uploads };
    };
    await using first = new Router(undefined, { provision: "cache", runtimes });
    assert.equal(await (await first.ssh(sshToHost("busybox"))).call(remote.add, 1, 1), 2);
    const withNode = sshTo("mitogen-bash", { nodePath: lab()?.node as string });
    const [without, cache, given] = await Promise.all([
      measure(false, withNode),
      measure("cache", withNode),
      measure("cache", sshToHost("busybox")),
    ]);
    // With a node: there and back. With a copy: the word that there is no node, the line that looks for the copy, and
    // the answer. The way of the command line, which is not delayed, would make the latter two round trips.
    assert.deepEqual([without.ways, cache.ways, given.ways], [2, 2, 3]);
    assert.deepEqual([without.uploads, cache.uploads, given.uploads], [0, 0, 0]);
    assert.equal(cache.bytes, without.bytes);
  });
});
