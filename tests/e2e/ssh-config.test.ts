/** No line of ssh_config about sessions may disturb a connect, with this machine's ssh and with older ones. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { HostKeyError, Router, type SshOptions } from "../../src/index.ts";
import * as remote from "../fixtures/remote/functions.ts";
import { type ConnectError, failureOfConnect } from "../support/connect-failure.ts";
import { lab, skipReason } from "../support/lab.ts";
import { password } from "../support/lab-methods.ts";
import { checkLeaks } from "../support/leak-check.ts";

checkLeaks({ ignoreCommand: /esbuild/ });

const folder = mkdtempSync(join(tmpdir(), "mitogen-ssh-config-"));
after(() => rmSync(folder, { recursive: true }));

let count = 0;

/** Options for `mitogen-dash` with these lines in ssh_config, and without any option about keys. */
function configured(lines: readonly string[], changes: Partial<SshOptions> = {}): SshOptions {
  const found = lab()?.ssh;
  count += 1;
  const config = join(folder, `config-${count}`);
  const ours = [
    "User mitogen-dash",
    `HostName ${found?.host}`,
    `Port ${found?.port}`,
    `IdentityFile "${found?.identityFile}"`,
    `UserKnownHostsFile "${found?.knownHosts}"`,
    "GlobalKnownHostsFile /dev/null",
  ];
  writeFileSync(config, `Host target\n${[...lines, ...ours].map((line) => `  ${line}\n`).join("")}`);
  const { sshArgs = [], ...others } = changes;
  return { hostname: "target", ...others, sshArgs: ["-F", config, ...sshArgs] };
}

async function checkConnects(options: SshOptions): Promise<void> {
  await using router = new Router();
  const context = await router.ssh(options);
  assert.equal(await context.call(remote.add, 1, 2), 3);
}

async function failure(options: SshOptions): Promise<ConnectError> {
  const error = await failureOfConnect((router) => router.ssh(options));
  assert.ok(error instanceof HostKeyError, String(error));
  return error;
}

/** Holds a port that ssh_config wants to forward. */
async function heldPort(): Promise<{ port: number; server: Server }> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return { port: (server.address() as { port: number }).port, server };
}

const LINES: readonly (readonly string[])[] = [
  ["RequestTTY force"],
  ["RemoteCommand tmux attach"],
  ["RequestTTY yes", "RemoteCommand sleep 600"],
  ["StdinNull yes"],
  ["ForkAfterAuthentication yes"],
  ["SessionType none"],
  ["SessionType subsystem"],
  ["PermitLocalCommand yes", "LocalCommand cat"],
  ["ForwardX11 yes", "ForwardX11Trusted no"],
  ["VisualHostKey yes"],
  ["LogLevel DEBUG3"],
  ["EscapeChar none"],
  ["BatchMode no"],
  ["ForwardAgent yes"],
];

describe("ssh_config", { skip: skipReason() }, () => {
  for (const lines of LINES) {
    it(`may say ${lines.join(" and ")}`, async () => {
      await checkConnects(configured(lines));
      // The same with a terminal.
      await checkConnects(
        configured(lines, {
          username: "mitogen-sudo-pw",
          password: password(),
          sshArgs: ["-o", "PubkeyAuthentication=no"],
        }),
      );
    });
  }

  it("may forward a port that is taken and require success", async () => {
    const { port, server } = await heldPort();
    try {
      const exit = "ExitOnForwardFailure yes";
      await checkConnects(configured([exit, `LocalForward 127.0.0.1:${port} localhost:1`]));
      await checkConnects(configured([exit, `DynamicForward 127.0.0.1:${port}`]));
      await checkConnects(configured([exit, `RemoteForward 127.0.0.1:${port} localhost:1`]));
    } finally {
      server.close();
    }
  });

  it("does not undo forwards of sshArgs", async () => {
    const { host, port: target } = lab()?.ssh ?? {};
    for (const form of ["-L", "-oLocalForward=", "-o localforward "]) {
      const { port, server } = await heldPort();
      await new Promise((resolve) => server.close(resolve));
      const value = `127.0.0.1:${port}${form === "-L" ? ":" : " "}${host}:${target}`;
      const sshArgs = form.startsWith("-o ") ? ["-o", `${form.slice(3)}${value}`] : [`${form}${value}`];
      await using router = new Router();
      await router.ssh(configured([], { sshArgs }));
      await checkConnects(configured([], { port, checkHostKeys: "ignore" }));
    }
  });

  it("may share one connection, but no session of the library carries others", async () => {
    const path = join(folder, "mux");
    const options = configured(["ControlMaster auto", `ControlPath ${path}`]);
    const sshArgs = options.sshArgs as string[];
    await using router = new Router();
    const first = await router.ssh({ ...options, name: "first" });
    const second = await router.ssh({ ...options, name: "second" });
    await first.shutdown();
    assert.equal(await second.call(remote.add, 1, 2), 3);
    assert.equal(existsSync(path), false);
    // An existing shared connection is used, and needs no key.
    execFileSync("ssh", [...sshArgs, "-M", "-N", "-f", "target"], { stdio: "ignore" });
    try {
      await checkConnects({ ...options, sshArgs: [...sshArgs, "-o", "PubkeyAuthentication=no"] });
      await checkConnects({ ...options, sshArgs: [...sshArgs, "-o", "PubkeyAuthentication=no"] });
    } finally {
      execFileSync("ssh", [...sshArgs, "-O", "exit", "target"], { stdio: "ignore" });
    }
  });
});

describe("an older ssh", { skip: skipReason() }, () => {
  /** A script that fails as OpenSSH does for these options, and otherwise runs the real ssh. */
  function olderSsh(name: string, unknown: readonly string[]): string {
    const path = join(folder, name);
    const tries = join(folder, `${name}.tries`);
    writeFileSync(
      path,
      `#!/bin/sh
echo >>${tries}
for word; do case $word in
${unknown.map((option) => `${option}=*) echo "command-line: line 0: Bad configuration option: ${option.toLowerCase()}" >&2; exit 255;;`).join("\n")}
esac; done
exec ssh "$@"
`,
    );
    chmodSync(path, 0o755);
    return path;
  }
  const NEW = ["SessionType", "StdinNull", "ForkAfterAuthentication"];

  it("that lacks options of the library is started again without them, and later always without", async () => {
    for (const [name, unknown] of [
      ["7.4", ["RemoteCommand", ...NEW]],
      ["8.4", NEW],
    ] as [string, string[]][]) {
      const sshPath = olderSsh(name, unknown);
      const tries = (): number => readFileSync(join(folder, `${name}.tries`), "utf8").length;
      await Promise.all([1, 2, 3].map(() => checkConnects(configured([], { sshPath }))));
      const before = tries();
      // Two for each connect, and some more if the busy sshd has turned one away, but not one for each option.
      assert.ok(before <= 9, String(before));
      const failed = await failure(
        configured([], {
          sshPath,
          checkHostKeys: "enforce",
          sshArgs: ["-o", "UserKnownHostsFile=/dev/null"],
        }),
      );
      assert.doesNotMatch(failed.message, /Bad configuration/);
      assert.equal(tries(), before + 1);
    }
  });

  it("that lacks an option of sshArgs fails the connect", async () => {
    const sshPath = olderSsh("strict", ["ChannelTimeout"]);
    await using router = new Router();
    await assert.rejects(
      router.ssh(configured([], { sshPath, sshArgs: ["-o", "ChannelTimeout=none"] })),
      /Bad configuration option: channeltimeout/,
    );
  });
});

describe("checkHostKeys without a value", { skip: skipReason() }, () => {
  let empty: string;
  before(() => {
    empty = join(folder, "known_hosts");
  });

  it("lets ssh_config decide whether a new key is accepted", async () => {
    for (const terminal of [false, true]) {
      const login: Partial<SshOptions> = terminal
        ? { username: "mitogen-sudo-pw", password: password() }
        : {};
      for (const line of ["StrictHostKeyChecking accept-new", "StrictHostKeyChecking no"]) {
        writeFileSync(empty, "");
        await checkConnects(configured([line, `UserKnownHostsFile ${empty}`], login));
        assert.match(readFileSync(empty, "utf8"), /127\.0\.0\.1/);
      }
      for (const line of ["StrictHostKeyChecking yes", "StrictHostKeyChecking ask", "VerifyHostKeyDNS no"]) {
        writeFileSync(empty, "");
        const error = await failure(configured([line, `UserKnownHostsFile ${empty}`], login));
        assert.match(error.message, /the host key of target is not known; add it to known_hosts/, line);
        assert.equal(readFileSync(empty, "utf8"), "");
      }
    }
  });

  it("lets ssh_config decide whether a changed key is accepted, and the error says why it was not", async () => {
    const port = lab()?.ssh.otherPort as number;
    const changed = `Port ${port}`;
    await checkConnects(configured([changed, "StrictHostKeyChecking no"]));
    for (const line of ["StrictHostKeyChecking accept-new", "StrictHostKeyChecking ask"]) {
      assert.match((await failure(configured([changed, line]))).message, /has changed/, line);
    }
    const login = {
      username: "mitogen-sudo-pw",
      password: password(),
      sshArgs: ["-o", "PubkeyAuthentication=no"],
    };
    const error = await failure(configured([changed, "StrictHostKeyChecking no"], login));
    assert.match(error.message, /the host key of target has changed; if that is expected/);
  });
});
