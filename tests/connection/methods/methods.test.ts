import assert from "node:assert/strict";
import { describe, it } from "node:test";
import {
  type BootLine,
  type ConnectionMethod,
  readConnectOptions,
} from "../../../src/connection/methods/method.ts";
import { methods } from "../../../src/connection/methods/methods.ts";
import { StreamError } from "../../../src/errors.ts";

const WORDS = ["sh", "-c", "boot", "0123456789abcdef", "17000"];
const LINE = "sh -c 'exec 3<&0 4>&1;boot' 0123456789abcdef 17000";
const TOKEN = "mitogen-sudo-01234567:";

const boot = (hasTerminal = false): BootLine => ({
  words: WORDS,
  shellLine: LINE,
  nonce: WORDS[3] as string,
  hasTerminal,
});
const checked = (name: string, options: object): object =>
  readConnectOptions(name, options, methods[name]?.options);
const method = (name: string): ConnectionMethod => methods[name] as ConnectionMethod;
const argv = (name: string, options: object, hasTerminal = false): string[] =>
  method(name).argv(checked(name, options), boot(hasTerminal));

/** Method, options, the words in front of the boot line, the context's name. */
const rows: [string, object, string[], string][] = [
  ["local", {}, [], "local.7"],
  ["sudo", {}, ["sudo", "-S", "-p", TOKEN, "-u", "root", "--"], "sudo.root"],
  [
    "sudo",
    {
      sudoPath: "/opt/sudo",
      username: "bob",
      preserveEnv: true,
      setHome: true,
      selinuxRole: "sysadm_r",
      selinuxType: "sysadm_t",
      password: "hunter2",
    },
    [
      ...["/opt/sudo", "-S", "-p", TOKEN, "-u", "bob", "-E", "-H"],
      ...["-r", "sysadm_r", "-t", "sysadm_t", "--"],
    ],
    "sudo.bob",
  ],
  ["sudo", { login: true }, ["sudo", "-S", "-p", TOKEN, "-u", "root", "-i", "--"], "sudo.root"],
  [
    "sudo",
    { sudoArgs: ["-EH", "-u", "www-data", "-n"] },
    ["sudo", "-S", "-p", TOKEN, "-u", "www-data", "-E", "-H", "--"],
    "sudo.www-data",
  ],
  [
    "sudo",
    { sudoArgs: ["--user=www-data", "-E"], username: "bob", preserveEnv: false },
    ["sudo", "-S", "-p", TOKEN, "-u", "bob", "--"],
    "sudo.bob",
  ],
  ["doas", {}, ["doas", "-u", "root", "--"], "doas.root"],
  [
    "doas",
    { doasPath: "/usr/pkg/bin/doas", username: "bob", password: "hunter2" },
    ["/usr/pkg/bin/doas", "-u", "bob", "--"],
    "doas.bob",
  ],
  ["docker", { container: "web" }, ["docker", "exec", "--interactive", "web"], "docker.web"],
  [
    "docker",
    { container: "web", username: "app", dockerPath: "/opt/docker" },
    ["/opt/docker", "exec", "--interactive", "--user=app", "web"],
    "docker.web",
  ],
  ["docker", { image: "node:22" }, ["docker", "run", "--interactive", "--rm", "node:22"], "docker.node:22"],
  [
    "docker",
    { image: "node:22", username: "1000:1000" },
    ["docker", "run", "--interactive", "--user=1000:1000", "--rm", "node:22"],
    "docker.node:22",
  ],
  ["podman", { container: "web" }, ["podman", "exec", "--interactive", "--", "web"], "podman.web"],
  [
    "podman",
    { container: "web", username: "app", podmanPath: "/opt/podman" },
    ["/opt/podman", "exec", "--user=app", "--interactive", "--", "web"],
    "podman.web",
  ],
  ["podman", { image: "node" }, ["podman", "run", "--interactive", "--rm", "--", "node"], "podman.node"],
  ["buildah", { container: "work" }, ["buildah", "run", "--", "work"], "buildah.work"],
  [
    "buildah",
    { container: "work", username: "app", buildahPath: "/opt/buildah" },
    ["/opt/buildah", "run", "--user=app", "--", "work"],
    "buildah.work",
  ],
  ["kubectl", { pod: "web-0" }, ["kubectl", "exec", "-i", "web-0", "--"], "kubectl.web-0"],
  [
    "kubectl",
    { pod: "web-0", container: "app", kubectlPath: "/opt/kubectl", kubectlArgs: ["-n", "prod"] },
    ["/opt/kubectl", "-n", "prod", "exec", "-i", "web-0", "--container=app", "--"],
    "kubectl.web-0[-n prod]",
  ],
  ["lxc", { container: "c1" }, ["lxc-attach", "--clear-env", "--name", "c1", "--"], "lxc.c1"],
  [
    "lxc",
    { container: "c1", lxcAttachPath: "/opt/lxc-attach" },
    ["/opt/lxc-attach", "--clear-env", "--name", "c1", "--"],
    "lxc.c1",
  ],
  ["lxd", { container: "c1" }, ["lxc", "exec", "--mode=noninteractive", "c1", "--"], "lxd.c1"],
  [
    "lxd",
    { container: "c1", lxcPath: "/snap/bin/lxc" },
    ["/snap/bin/lxc", "exec", "--mode=noninteractive", "c1", "--"],
    "lxd.c1",
  ],
  ["incus", { container: "c1" }, ["incus", "exec", "--mode=non-interactive", "c1", "--"], "incus.c1"],
  [
    "incus",
    { container: "c1", incusPath: "/opt/incus" },
    ["/opt/incus", "exec", "--mode=non-interactive", "c1", "--"],
    "incus.c1",
  ],
  ["jail", { container: "www" }, ["/usr/sbin/jexec", "www"], "jail.www"],
  [
    "jail",
    { container: "www", username: "app", jexecPath: "/opt/jexec" },
    ["/opt/jexec", "-U", "app", "www"],
    "jail.www",
  ],
  ["exec", { command: ["/usr/bin/env", "A=1"] }, ["/usr/bin/env", "A=1"], "exec.env.7"],
];

describe("argv", () => {
  for (const [name, options, words, contextName] of rows) {
    it(`${name} ${JSON.stringify(options)}`, () => {
      assert.deepEqual(argv(name, options), [...words, ...WORDS]);
      assert.equal(method(name).contextName(options, 7), contextName);
    });
  }

  it("sudo on a terminal asks there, not on stdin", () => {
    assert.deepEqual(argv("sudo", {}, true), ["sudo", "-p", TOKEN, "-u", "root", "--", ...WORDS]);
  });

  it("su takes the boot line as one word for the target's shell", () => {
    assert.deepEqual(argv("su", {}), ["su", "root", "-c", LINE]);
    assert.deepEqual(argv("su", { username: "bob", suPath: "/opt/su" }), ["/opt/su", "bob", "-c", LINE]);
    assert.equal(method("su").contextName({}, 7), "su.root");
  });

  it("su on a terminal has the terminal as stdin, and the transport on 3 and 4", () => {
    const words = argv("su", { username: "bob" }, true);
    assert.deepEqual(words.slice(0, 2), ["sh", "-c"]);
    assert.match(words[2] as string, /exec 3<&0 4>&1 <\/dev\/tty/);
    assert.deepEqual(words.slice(3), ["sh", "su", "bob", "-c", LINE.replace("exec 3<&0 4>&1;", "")]);
  });

  it("exec passes one word to a command that wants a shell line", () => {
    assert.deepEqual(argv("exec", { command: ["ssh", "web1"], shellCommand: true }), ["ssh", "web1", LINE]);
  });

  it("names this node's path only where the target has the same file system", () => {
    for (const [name, { nodeCommand }] of Object.entries(methods)) {
      const isHere = ["local", "sudo", "su", "doas"].includes(name);
      assert.deepEqual(nodeCommand, isHere ? [process.execPath] : [], name);
    }
  });

  it("holds no password", () => {
    for (const name of ["ssh", "sudo", "su", "doas"]) {
      for (const hasTerminal of [false, true]) {
        const words = argv(
          name,
          { password: "hunter2", ...(name === "ssh" && { hostname: "h" }) },
          hasTerminal,
        );
        assert.ok(!words.join(" ").includes("hunter2"), name);
      }
    }
  });
});

const required: Readonly<Record<string, object>> = {
  ssh: { hostname: "h" },
  docker: { container: "c" },
  podman: { container: "c" },
  buildah: { container: "c" },
  kubectl: { pod: "p" },
  lxc: { container: "c" },
  lxd: { container: "c" },
  incus: { container: "c" },
  jail: { container: "c" },
  setns: { container: "c", kind: "docker" },
  exec: { command: ["env"] },
};

describe("options", () => {
  for (const name of Object.keys(methods)) {
    it(`${name} refuses unknown options, and names those it has`, () => {
      const options = { ...required[name], nodepath: "/x" };
      assert.throws(() => argv(name, options), {
        name: "TypeError",
        message: /no option "nodepath".*nodePath/,
      });
    });
  }

  for (const [name, needed] of Object.entries(required)) {
    it(`${name} requires ${Object.keys(needed).join(" and ")}, and refuses a name that looks like an option`, () => {
      assert.throws(() => argv(name, {}), TypeError);
      const [key] = Object.keys(needed) as [string];
      for (const value of ["--privileged", "", 7, null]) {
        assert.throws(() => argv(name, { ...needed, [key]: value }), TypeError, String(value));
      }
    });
  }

  it("docker and podman refuse a container together with an image", () => {
    for (const name of ["docker", "podman"]) {
      assert.throws(() => argv(name, { container: "c", image: "i" }), /not both/);
    }
  });

  it("all methods refuse a user name that looks like an option", () => {
    for (const name of ["sudo", "su", "doas", "docker", "podman", "buildah", "jail", "setns"]) {
      const options = { ...required[name], username: "-x" };
      assert.throws(() => argv(name, options), TypeError, name);
    }
  });

  it("setns refuses an unknown kind", () => {
    assert.throws(() => argv("setns", { container: "c", kind: "toString" }), /kind must be one of "docker"/);
  });
});

describe("ssh's wasTurnedAway", () => {
  const judge = (exitCode: number, ...lines: string[]) => method("ssh").wasTurnedAway?.(lines, exitCode);
  it("knows an sshd that is busy", () => {
    assert.equal(judge(255, "kex_exchange_identification: read: Connection reset by peer"), true);
    assert.equal(judge(255, "Connection closed by 10.0.0.1 port 22"), true);
    assert.equal(judge(255, ""), true);
    assert.equal(judge(1, ""), false);
  });

  it("never lets a password be tried again", () => {
    assert.equal(judge(255, "ada@web1's password: ", "Connection closed by 10.0.0.1 port 22"), false);
    assert.equal(judge(255, "ada@web1's password: "), false);
  });
});

describe("sudoArgs", () => {
  const flags = (...sudoArgs: string[]): string[] => argv("sudo", { sudoArgs }).slice(4, -WORDS.length - 1);
  const table: [string[], string[]][] = [
    [[], ["-u", "root"]],
    [
      ["-u", "bob"],
      ["-u", "bob"],
    ],
    [["-ubob"], ["-u", "bob"]],
    [
      ["--user", "bob"],
      ["-u", "bob"],
    ],
    [["--user=bob"], ["-u", "bob"]],
    [["-EHubob"], ["-u", "bob", "-E", "-H"]],
    [
      ["--preserve-env", "--set-home"],
      ["-u", "root", "-E", "-H"],
    ],
    [["-i"], ["-u", "root", "-i"]],
    [["--login"], ["-u", "root", "-i"]],
    [
      ["-r", "r", "-t", "t"],
      ["-u", "root", "-r", "r", "-t", "t"],
    ],
    [
      ["--role=r", "--type", "t"],
      ["-u", "root", "-r", "r", "-t", "t"],
    ],
    [
      ["-S", "-n", "-Sn", "--stdin", "--non-interactive"],
      ["-u", "root"],
    ],
  ];
  for (const [given, wanted] of table) {
    it(`reads ${JSON.stringify(given)}`, () => assert.deepEqual(flags(...given), wanted));
  }

  for (const given of [
    ["-h"],
    ["--help"],
    ["ls"],
    ["-k"],
    ["--"],
    ["-u"],
    ["--user="],
    ["--login=x"],
    ["-Ex"],
    ["-", "x"],
  ]) {
    it(`refuses ${JSON.stringify(given)}`, () => {
      assert.throws(
        () => flags(...given),
        (error: Error) => error instanceof StreamError && error.message.includes("in sudoArgs"),
      );
    });
  }
});
