import assert from "node:assert/strict";
import { copyFileSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it } from "node:test";
import {
  ChannelError,
  EofError,
  HostKeyError,
  PasswordError,
  Router,
  type SshOptions,
  TimeoutError,
} from "../../src/index.ts";
import * as remote from "../fixtures/remote/functions.ts";
import { type ConnectError, failureOfConnect } from "../support/connect-failure.ts";
import { lab, skipReason } from "../support/lab.ts";
import { checkLeaks, descendants, processesGone } from "../support/leak-check.ts";
import { sshTo } from "../support/ssh-options.ts";

checkLeaks({ ignoreCommand: /esbuild/ });

const unexpected = (): never => assert.fail("it went on");
const commandName = (pid: number): string => readFileSync(`/proc/${pid}/comm`, "utf8").trim();

const failure = (options: SshOptions): Promise<ConnectError> =>
  failureOfConnect((router) => router.ssh(options));

describe("router.ssh", { skip: skipReason() }, () => {
  it("names the context after host and port", async () => {
    await using router = new Router();
    const options = sshTo("mitogen-dash");
    const context = await router.ssh(options);
    assert.equal(context.name, `ssh.127.0.0.1:${options.port}`);
    assert.equal(await context.call(remote.add, 1, 2), 3);
  });

  it("uses the user, port and key of ssh_config", async () => {
    await using router = new Router();
    const config = lab()?.ssh.config as string;
    const context = await router.ssh({ hostname: "mitogen-zsh", sshArgs: ["-F", config] });
    assert.equal(context.name, "ssh.mitogen-zsh");
    assert.equal(await context.call(remote.add, 1, 2), 3);
  });

  it("rejects with PasswordError when no key is accepted, with ssh's own words", async () => {
    const error = await failure(sshTo("mitogen-dash", { identityFile: lab()?.ssh.strangerFile }));
    assert.ok(error instanceof PasswordError, String(error));
    assert.equal(error.code, "ERR_PASSWORD");
    assert.match(error.details.stderr, /Permission denied \(/);
    assert.match(error.details.hint, /authorized_keys/);
    assert.equal(error.details.exitCode, 255);
    assert.equal(error.details.stage, "transport");
  });

  it("rejects with HostKeyError for a changed key under every mode but ignore", async () => {
    const port = lab()?.ssh.otherPort as number;
    for (const checkHostKeys of ["enforce", "accept"] as const) {
      const error = await failure(sshTo("mitogen-dash", { port, checkHostKeys }));
      assert.ok(error instanceof HostKeyError, `${checkHostKeys}: ${error}`);
    }
    await using router = new Router();
    const context = await router.ssh(sshTo("mitogen-dash", { port, checkHostKeys: "ignore" }));
    assert.equal(await context.call(remote.add, 1, 2), 3);
  });

  it("rejects an unknown key with enforce, records it with accept, and writes nothing with ignore", async () => {
    const folder = mkdtempSync(join(tmpdir(), "mitogen-known-hosts-"));
    try {
      const knownHosts = join(folder, "known_hosts");
      copyFileSync("/dev/null", knownHosts);
      const sshArgs = ["-F", "/dev/null", "-o", `UserKnownHostsFile=${knownHosts}`];
      const options = { ...sshTo("mitogen-dash"), sshArgs };
      const error = await failure(options);
      assert.ok(error instanceof HostKeyError, String(error));
      assert.match(error.details.hint, /accept/);
      await using router = new Router();
      const ignoring = await router.ssh({ ...options, checkHostKeys: "ignore" });
      assert.equal(await ignoring.call(remote.add, 1, 2), 3);
      assert.equal(readFileSync(knownHosts, "utf8"), "");
      await router.ssh({ ...options, checkHostKeys: "accept" });
      assert.match(readFileSync(knownHosts, "utf8"), /127\.0\.0\.1/);
      await router.ssh(options);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it("rejects with EofError and ssh's words for a refused port and an unknown host", async () => {
    const refused = await failure(sshTo("mitogen-dash", { port: 1 }));
    assert.ok(refused instanceof EofError);
    assert.match(refused.message, /Connection refused/);
    const unknown = await failure(sshTo("mitogen-dash", { hostname: "no-such-host.invalid" }));
    assert.ok(unknown instanceof EofError);
    assert.match(unknown.message, /no-such-host\.invalid/);
  });

  it("rejects with TimeoutError when the host never answers", async () => {
    const error = await failure(
      sshTo("mitogen-dash", { timeoutMs: 500, sshArgs: ["-o", "ProxyCommand=sleep 60"] }),
    );
    assert.ok(error instanceof TimeoutError);
    assert.equal((error as unknown as ConnectError).details.stage, "transport");
  });

  it("rejects with EofError and the account's message for nologin", async () => {
    const error = await failure(sshTo("mitogen-nologin"));
    assert.ok(error instanceof EofError);
    assert.match(error.message, /account is currently not available/i);
  });

  it("fails with the reason when the target has no node or nodePath names none", async () => {
    const account = lab()?.ssh.users.find(({ name }) => name === "mitogen-nonode");
    if (account?.nodesElsewhere?.length === 0) {
      const error = await failure(sshTo("mitogen-nonode"));
      assert.match(error.message, /no node was found on the target \(Linux /);
      assert.match(error.details.hint, /nodePath/);
    }
    const error = await failure(sshTo("mitogen-dash", { nodePath: "/nonexistent/node" }));
    assert.ok(error instanceof EofError);
    assert.match(error.message, /\/nonexistent\/node/);
    assert.match(error.details.hint, /nodePath/);
    assert.equal(error.details.stage, "node");
  });

  it("boots every supported Node there", async () => {
    await using router = new Router();
    for (const [major, nodePath] of Object.entries(lab()?.nodes ?? {})) {
      const context = await router.ssh(sshTo("mitogen-bash", { nodePath }));
      const { version } = await context.call(remote.describeProcess);
      assert.equal(version.split(".")[0], `v${major}`);
    }
  });

  it("takes compression, keepalive and debug level", async () => {
    await using router = new Router();
    const context = await router.ssh(
      sshTo("mitogen-dash", {
        compression: true,
        keepaliveCount: 2,
        keepaliveIntervalSeconds: 5,
        sshDebugLevel: 1,
      }),
    );
    assert.equal(await context.call(remote.add, 1, 2), 3);
  });

  it("wakes callers at once when the ssh client dies, and the context ends", async () => {
    await using router = new Router();
    const context = await router.ssh(sshTo("mitogen-dash"));
    const far = await context.call(remote.pid);
    const clients = descendants(process.pid).filter((pid) => commandName(pid) === "ssh");
    assert.equal(clients.length, 1);
    const waiting = context.call(remote.echoLater, 1, 60_000).then(unexpected, (error) => error as Error);
    const started = Date.now();
    process.kill(clients[0] as number, "SIGKILL");
    const error = await waiting;
    assert.ok(error instanceof ChannelError, String(error));
    assert.match(error.message, /was ended by SIGKILL/);
    assert.ok(Date.now() - started < 2000);
    assert.deepEqual(await processesGone([far], 5000), []);
  });
});
