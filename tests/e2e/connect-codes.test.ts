/** A failed connect of the real tools: what its error says, and the code for each cause. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { copyFileSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { type AddressInfo, createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it, type TestContext } from "node:test";
import { inspect } from "node:util";
import {
  type ConnectDetails,
  EofError,
  HostKeyError,
  PasswordError,
  Router,
  type SshOptions,
  StreamError,
} from "../../src/index.ts";
import { type ConnectError, failureOfConnect } from "../support/connect-failure.ts";
import { lab, needsPart, nodes, skipReason } from "../support/lab.ts";
import { part } from "../support/lab-methods.ts";
import { checkLeaks } from "../support/leak-check.ts";
import { sshTo } from "../support/ssh-options.ts";

checkLeaks({ ignoreCommand: /esbuild|ssh/ });

interface Expected {
  readonly code: string;
  readonly type?: new (message: string) => Error;
  readonly stage: ConnectDetails["stage"];
  /** Matches the error's one sentence. */
  readonly summary: RegExp;
}

const folder = mkdtempSync(join(tmpdir(), "mitogen-connect-codes-"));
after(() => rmSync(folder, { recursive: true }));

function check(error: ConnectError, { code, type = EofError, stage, summary }: Expected): void {
  assert.equal(error.code, code, String(error));
  assert.ok(error instanceof type, String(error));
  assert.equal(error.details.stage, stage);
  assert.match(error.summary, summary);
  assert.match(error.summary, /; /, "it says what to do");
  assert.doesNotMatch(error.summary, /\n/);
  assert.equal(error.message.split("\n")[0], error.summary);
  assert.ok(error.summary.endsWith(`; ${error.details.hint}`), error.summary);
  assertNothingOfOurs(error);
  // The command is complete, and quoted for a shell.
  const words = execFileSync("sh", ["-c", `printf '%s\\0' ${error.details.command}`], { encoding: "utf8" });
  assert.deepEqual(words.split("\0").slice(0, -1), error.details.argv);
}

/** The error must not show the library's scripts, the command line or binary data. */
function assertNothingOfOurs(error: ConnectError): void {
  const shown = inspect(error);
  assert.doesNotMatch(shown, /let\{versions|exec 3<&0|command -v|\ufffd/, shown);
  assert.doesNotMatch(shown, /^\s*(argv|command):/m);
  assert.ok(shown.length < 5000, shown);
}

const loginOf = (username: string, changes: Partial<SshOptions> = {}) => sshTo(username, changes);

/** Connects through an sshd for this one connection, on ssh's own pipe, with its own settings. */
function throughSshd(name: string, settings: string, username = "mitogen-dash"): SshOptions {
  const config = join(folder, `${name}.conf`);
  const hostKey = join(folder, "host_key");
  writeFileSync(
    config,
    `HostKey ${hostKey}\nPidFile none\nUsePAM no\nPasswordAuthentication no\n${settings}\nSetEnv PATH=${lab()?.ssh.users[0]?.path}\n`,
  );
  const log = join(folder, `${name}.log`);
  const sshArgs = ["-o", `ProxyCommand=/usr/sbin/sshd -i -f ${config} -E ${log}`];
  return loginOf(username, { checkHostKeys: "ignore", sshArgs });
}

describe("ssh fails with the code of its cause", { skip: skipReason() }, () => {
  before(() => {
    execFileSync("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-f", join(folder, "host_key")]);
  });

  const cases: [title: string, options: () => SshOptions, expected: Expected][] = [
    [
      "a port where nothing listens",
      () => loginOf("mitogen-dash", { port: 1 }),
      {
        code: "ERR_REFUSED",
        stage: "transport",
        summary: /^Cannot connect with ssh\(\): 127\.0\.0\.1 refuses connections on port 1; /,
      },
    ],
    [
      "an address without a route",
      () => loginOf("mitogen-dash", { hostname: "255.255.255.255" }),
      {
        code: "ERR_UNREACHABLE",
        stage: "transport",
        summary: /255\.255\.255\.255 cannot be reached on port \d+: Network is unreachable; /,
      },
    ],
    [
      "a name without an address",
      () => loginOf("mitogen-dash", { hostname: "no-such-host.invalid" }),
      {
        code: "ERR_UNKNOWN_HOST",
        stage: "transport",
        summary: /no address of no-such-host\.invalid is known: /,
      },
    ],
    [
      "a key that no account accepts",
      () => loginOf("mitogen-dash", { identityFile: lab()?.ssh.strangerFile }),
      { code: "ERR_PASSWORD", type: PasswordError, stage: "transport", summary: /did not accept the login/ },
    ],
    [
      "an account that is not there",
      () => loginOf("no-such-account"),
      { code: "ERR_PASSWORD", type: PasswordError, stage: "transport", summary: /as no-such-account; / },
    ],
    [
      "another host key",
      () => loginOf("mitogen-dash", { port: lab()?.ssh.otherPort }),
      { code: "ERR_HOST_KEY", type: HostKeyError, stage: "transport", summary: /host key of 127\.0\.0\.1/ },
    ],
    [
      "a login without a shell",
      () => loginOf("mitogen-nologin"),
      { code: "ERR_NO_SHELL", stage: "shell", summary: /the account has no shell that runs commands/ },
    ],
    [
      "a key that is forced to cat, which sends the payload back",
      () => throughSshd("cat", "ForceCommand cat"),
      { code: "ERR_COMMAND_FORCED", stage: "shell", summary: /it sends its input back/ },
    ],
    [
      "a key that is forced to a command which prints",
      () => throughSshd("echo", "ForceCommand echo backup only"),
      {
        code: "ERR_COMMAND_FORCED",
        stage: "shell",
        summary:
          /something else ran .*: it printed "backup only" and exited with code 0; check command= of the key/,
      },
    ],
    [
      "a login for sftp alone",
      () => throughSshd("sftp", "Subsystem sftp internal-sftp\nForceCommand internal-sftp"),
      { code: "ERR_COMMAND_FORCED", stage: "shell", summary: /only file transfers by sftp/ },
    ],
    [
      "a login that ends without a word",
      () => throughSshd("false", "ForceCommand exit 3"),
      {
        code: "ERR_NO_SHELL",
        stage: "transport",
        summary: /no shell ran the library's command: it exited with code 3 and printed nothing/,
      },
    ],
    [
      "a host that opens no session, which ssh reports only when it is verbose",
      () => throughSshd("sessions", "MaxSessions 0"),
      {
        code: "ERR_TOO_MANY_SESSIONS",
        stage: "transport",
        summary: /opens no session for it; raise MaxSessions/,
      },
    ],
    [
      "a host that has no algorithm in common",
      () => {
        const options = throughSshd("kex", "KexAlgorithms diffie-hellman-group14-sha256");
        return { ...options, sshArgs: ["-o", "KexAlgorithms=curve25519-sha256", ...(options.sshArgs ?? [])] };
      },
      { code: "ERR_EOF", stage: "transport", summary: /no key exchange method in common/ },
    ],
    [
      "a node that is not there",
      () => loginOf("mitogen-dash", { nodePath: "/nonexistent/node" }),
      { code: "ERR_NO_NODE", stage: "node", summary: /there is no \/nonexistent\/node on the target; / },
    ],
    [
      "a node that may not be run",
      () => {
        const nodePath = join(folder, "locked-node");
        writeFileSync(nodePath, "", { mode: 0o644 });
        execFileSync("chmod", ["755", folder]);
        return loginOf("mitogen-dash", { nodePath });
      },
      { code: "ERR_POLICY", stage: "node", summary: /locked-node may not be run on the target; / },
    ],
    [
      "a node for another machine",
      () => {
        const nodePath = join(folder, "alien-node");
        // An ELF for a machine that does not exist.
        writeFileSync(nodePath, Buffer.from("7f454c46020101000000000000000000020000ff01", "hex"), {
          mode: 0o755,
        });
        execFileSync("chmod", ["755", folder]);
        return loginOf("mitogen-dash", { nodePath });
      },
      { code: "ERR_NO_NODE", stage: "node", summary: /was built for another kind of machine; / },
    ],
  ];
  for (const [title, options, expected] of cases) {
    it(title, async () => {
      check(await failureOfConnect((router) => router.ssh(options())), expected);
    });
  }

  it("no node in the PATH; the error names the kind of machine", async (t) => {
    const elsewhere = lab()?.ssh.users.find(({ name }) => name === "mitogen-nonode")?.nodesElsewhere ?? [];
    if (elsewhere.includes("/usr/local/bin/node")) return t.skip("this machine has a node everywhere");
    const options = throughSshd("nonode", `SetEnv PATH=${emptyPath()}`);
    const error = await failureOfConnect((router) => router.ssh(options));
    check(error, { code: "ERR_NO_NODE", stage: "node", summary: /no node was found on the target \(Linux / });
    assert.equal(error.details.platform, process.platform);
    assert.equal(error.details.arch, process.arch);
  });

  it("a node that is too old", async (t) => {
    const old = Object.entries(nodes).find(([major]) => Number(major) < 12)?.[1];
    const nodePath = old ?? oldNode();
    const error = await failureOfConnect((router) => router.ssh(loginOf("mitogen-dash", { nodePath })));
    check(error, {
      code: "ERR_NODE_VERSION",
      type: StreamError,
      stage: "node",
      summary:
        /node 10\.\d+\.\d+ on the target is too old: the oldest that works is 12\.22; pass provision: "cache"/,
    });
    t.diagnostic(old === undefined ? "a stand-in" : old);
  });

  it("a timeout; the error says what the connect was waiting for", async () => {
    const stalled = ["-o", "ProxyCommand=sleep 60"];
    const login = await failureOfConnect((router) =>
      router.ssh(loginOf("mitogen-dash", { timeoutMs: 500, sshArgs: stalled })),
    );
    assert.equal(login.code, "ERR_TIMEOUT");
    assert.equal(login.details.stage, "transport");
    assert.match(login.summary, /timed out after 500 ms, waiting for ssh to reach the target/);
    const options = throughSshd("hangs", "ForceCommand echo hold on; exec sleep 60");
    const shell = await failureOfConnect((router) => router.ssh({ ...options, timeoutMs: 3000 }));
    assert.equal(shell.code, "ERR_TIMEOUT");
    assert.equal(shell.details.stage, "shell");
    assert.match(shell.summary, /waiting after the login for a shell to run the library's command/);
    const nodePath = ["sh", "-c", "sleep 60"];
    const node = await failureOfConnect((router) =>
      router.ssh(loginOf("mitogen-dash", { nodePath, timeoutMs: 3000 })),
    );
    assert.equal(node.code, "ERR_TIMEOUT");
    assert.equal(node.details.stage, "node");
    assert.match(node.summary, /waiting for node to start/);
  });

  it("too many sessions of a shared connection, when ssh cannot open another one", async () => {
    const path = join(folder, "shared");
    const first = throughSshd("shared", "MaxSessions 1");
    const sharing = (proxy: string[]): SshOptions => ({
      ...first,
      sshArgs: ["-o", `ControlPath=${path}`, ...proxy, ...(first.sshArgs ?? [])],
    });
    await using router = new Router();
    await router.ssh(sharing(["-o", "ControlMaster=yes"]));
    const error = await failureOfConnect((other) => other.ssh(sharing(["-o", "ProxyCommand=false"])));
    check(error, {
      code: "ERR_TOO_MANY_SESSIONS",
      stage: "transport",
      summary: /accepts no more sessions; .*MaxSessions/,
    });
  });
});

describe("a host that closes connections before the login", { skip: skipReason() }, () => {
  let server: Server;
  before(async () => {
    server = createServer((socket) => socket.destroy());
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  });
  after(() => server.close());

  it("fails with ERR_REFUSED when there is no time for another try", async () => {
    const { port } = server.address() as AddressInfo;
    const error = await failureOfConnect((router) =>
      router.ssh(loginOf("mitogen-dash", { port, timeoutMs: 1500 })),
    );
    check(error, {
      code: "ERR_REFUSED",
      stage: "transport",
      summary: /closes the connection before the login; .*MaxStartups/,
    });
  });
});

describe("an ssh that fails by itself at the timeout", { skip: skipReason() }, () => {
  it("gives the error its cause: the library does not suspect a login script", async () => {
    const path = join(folder, "fails-late");
    const words = "kex_exchange_identification: read: Connection reset by peer";
    writeFileSync(path, `#!/bin/sh\ncat >/dev/null\necho "${words}" >&2\nexit 255\n`, { mode: 0o755 });
    const error = await failureOfConnect((router) =>
      router.ssh(loginOf("mitogen-dash", { sshPath: path, timeoutMs: 1000 })),
    );
    check(error, {
      code: "ERR_REFUSED",
      stage: "transport",
      summary: /closes the connection before the login; .*MaxStartups/,
    });
  });
});

describe("becoming another user fails with the code of its cause", { skip: skipReason() }, () => {
  const cases: [title: string, connect: (router: Router) => Promise<unknown>, expected: Expected][] = [
    [
      "sudo: unknown user",
      (router) => router.sudo({ username: "no-such-user" }),
      { code: "ERR_UNKNOWN_USER", stage: "transport", summary: /sudo\(\): there is no user no-such-user; / },
    ],
    [
      "su: unknown user",
      (router) => router.su({ username: "no-such-user" }),
      { code: "ERR_UNKNOWN_USER", stage: "transport", summary: /su\(\): there is no user no-such-user; / },
    ],
    [
      "doas: unknown user",
      async (router) => {
        const via = await router.ssh(loginOf("mitogen-doas-nopw"));
        return router.doas({ via, username: "no-such-user" });
      },
      {
        code: "ERR_UNKNOWN_USER",
        stage: "transport",
        summary: /^ssh\.\S+: Cannot .* there is no such user; /,
      },
    ],
    [
      "doas: no rule",
      async (router) => {
        const via = await router.ssh(loginOf("mitogen-dash"));
        return router.doas({ via });
      },
      { code: "ERR_POLICY", stage: "transport", summary: /doas\.conf does not allow it; / },
    ],
    [
      "sudo: a password is required, behind a hop",
      async (router) => {
        const via = await router.ssh(loginOf("mitogen-dash"));
        return router.sudo({ via });
      },
      { code: "ERR_PASSWORD", type: PasswordError, stage: "transport", summary: /a password is required/ },
    ],
    [
      "su: an account without a shell",
      (router) => router.su({ username: "mitogen-nologin" }),
      { code: "ERR_NO_SHELL", stage: "transport", summary: /no shell that runs commands/ },
    ],
  ];
  for (const [title, connect, expected] of cases) {
    it(title, async () => check(await failureOfConnect(connect), expected));
  }
});

describe("a container fails with the code of its cause", { skip: skipReason() }, () => {
  type Methods = "docker" | "podman" | "buildah" | "kubectl" | "lxc" | "lxd";
  const missing = /^Cannot connect with \w+\(\): .*(there is no|no container|no such)/;
  const cases: [title: string, Methods, connect: (router: Router) => Promise<unknown>, Partial<Expected>][] =
    [
      ["docker", "docker", (r) => r.docker({ dockerPath: part("docker").path, container: "no-such" }), {}],
      ["podman", "podman", (r) => r.podman({ podmanPath: part("podman").path, container: "no-such" }), {}],
      ["podman, image", "podman", (r) => r.podman({ podmanPath: part("podman").path, image: "no-such" }), {}],
      [
        "buildah",
        "buildah",
        (r) => r.buildah({ buildahPath: part("buildah").path, container: "no-such" }),
        {},
      ],
      ["lxc", "lxc", (r) => r.lxc({ lxcAttachPath: part("lxc").path, container: "no-such" }), {}],
      ["lxd", "lxd", (r) => r.lxd({ lxcPath: part("lxd").path, container: "no-such" }), {}],
      [
        "kubectl",
        "kubectl",
        (r) => {
          const { path, kubeconfig } = part("kubectl");
          return r.kubectl({ kubectlPath: path, pod: "no-such", kubectlArgs: ["--kubeconfig", kubeconfig] });
        },
        {},
      ],
      [
        "setns",
        "docker",
        (r) => r.setns({ kind: "docker", dockerPath: part("docker").path, container: "no-such" }),
        {},
      ],
      [
        "docker, unknown user",
        "docker",
        (r) => {
          const { path, container } = part("docker");
          return r.docker({ dockerPath: path, container, username: "no-such" });
        },
        { code: "ERR_UNKNOWN_USER", summary: /there is no user no-such in the container/ },
      ],
      [
        "setns, unknown user",
        "docker",
        (r) => {
          const { path, container } = part("docker");
          return r.setns({ kind: "docker", dockerPath: path, container, username: "no-such" });
        },
        { code: "ERR_UNKNOWN_USER", summary: /there is no user no-such in the container/ },
      ],
    ];
  for (const [title, needed, connect, changes] of cases) {
    it(title, async (t: TestContext) => {
      if (needsPart(t, needed) === undefined) return;
      const expected = {
        code: "ERR_UNKNOWN_CONTAINER",
        stage: "transport",
        summary: missing,
        ...changes,
      } as const;
      check(await failureOfConnect(connect), expected as Expected);
    });
  }
});

describe("the error of a node that fails", () => {
  const fails = (nodePath: string[]) => failureOfConnect((router) => router.local({ nodePath }));

  it("shows neither stage 1 nor the payload when a launcher closes the descriptors above 2", async () => {
    const error = await fails(["sh", "-c", 'exec 3<&- 4<&- 5<&- 6<&-; exec "$0" "$@"', process.execPath]);
    assertNothingOfOurs(error);
    assert.match(error.summary, /closes the descriptors above 2/);
  });

  it("names the option of NODE_OPTIONS that node refuses", async () => {
    const error = await fails(["env", "NODE_OPTIONS=--no-such-option", process.execPath]);
    assertNothingOfOurs(error);
    assert.match(error.summary, /NODE_OPTIONS holds --no-such-option; /);
  });

  it("shows what the command printed, without the library's script, when it repeats its arguments", async () => {
    const error = await fails(["echo", "said"]);
    assertNothingOfOurs(error);
    assert.match(error.message, /^said --input-type=commonjs --experimental-vm-modules -e … ?/m);
  });
});

describe("a connect behind a hop", { skip: skipReason() }, () => {
  it("fails with the code, sentence, command and details that the hop saw", async () => {
    const error = await failureOfConnect(async (router) => {
      const via = await router.local({ name: "hop" });
      return router.ssh({ ...loginOf("mitogen-dash", { port: 1 }), via });
    });
    check(error, {
      code: "ERR_REFUSED",
      stage: "transport",
      summary: /^hop: Cannot connect with ssh\(\): 127\.0\.0\.1 refuses connections on port 1; /,
    });
    assert.equal(error.details.argv[0], "ssh");
  });
});

/** A folder with all programs that stage 0 needs, but no node. */
function emptyPath(): string {
  const bin = join(folder, "bin");
  execFileSync("mkdir", ["-p", bin]);
  for (const tool of ["sh", "uname"]) {
    copyFileSync(
      execFileSync("sh", ["-c", `readlink -f $(command -v ${tool})`], { encoding: "utf8" }).trim(),
      join(bin, tool),
    );
  }
  execFileSync("chmod", ["755", folder, bin]);
  return bin;
}

/** A stand-in that says what stage 1 says under a Node older than 12. */
function oldNode(): string {
  const path = join(folder, "node-10");
  writeFileSync(path, `#!/bin/sh\nfor word; do nonce=$last last=$word; done\necho "$nonce:V 10.24.1" >&4\n`, {
    mode: 0o755,
  });
  execFileSync("chmod", ["755", folder]);
  return path;
}
