import assert from "node:assert/strict";
import { test } from "node:test";
import { readConnectOptions } from "../../../src/connection/methods/method.ts";
import { type SshOptions, sshMethod } from "../../../src/connection/methods/ssh.ts";
import { HostKeyError, PasswordError } from "../../../src/errors.ts";

const BOOT = {
  words: ["sh", "-c", "boot"],
  shellLine: "sh -c 'boot' 0123 1",
  nonce: "0123",
  hasTerminal: false,
};
const argv = (options: Partial<SshOptions> = {}, boot = BOOT) =>
  sshMethod.argv(readConnectOptions("ssh", { hostname: "web1", ...options }, sshMethod.options), boot);
const diagnose = (lines: readonly string[], options: Partial<SshOptions> = {}) =>
  sshMethod.diagnose?.(lines, { hostname: "web1", ...options });

const QUIET = ["-o", "LogLevel=ERROR"];
const ALIVE = ["-o", "ServerAliveInterval=15", "-o", "ServerAliveCountMax=3"];
const ENFORCE = ["-o", "StrictHostKeyChecking=yes"];
const BATCH = ["-o", "BatchMode=yes"];
const CLEAR = ["-o", "ClearAllForwardings=yes"];
const SESSION = [
  ...["-o", "RemoteCommand=none", "-o", "SessionType=default"],
  ...["-o", "StdinNull=no", "-o", "ForkAfterAuthentication=no"],
];
const TARGET = ["web1", BOOT.shellLine];
const TAIL = ["-T", "-o", "PermitLocalCommand=no", "-o", "ControlMaster=no", ...CLEAR, ...SESSION, ...TARGET];

test("sshMethod.argv by default is quiet, keeps the connection alive, asks nothing, and opens a plain session", () => {
  assert.deepEqual(argv(), ["ssh", ...QUIET, ...ALIVE, ...BATCH, ...TAIL]);
});

test("sshMethod.argv puts every option in its place", () => {
  assert.deepEqual(
    argv({
      sshPath: "/opt/ssh",
      username: "deploy",
      port: 2222,
      identityFile: "/home/me/.ssh/id",
      compression: true,
      keepaliveCount: 5,
      keepaliveIntervalSeconds: 7,
      checkHostKeys: "accept",
      sshArgs: ["-F", "/dev/null", "-o", "ProxyJump=gate"],
    }),
    [
      ...["/opt/ssh", ...QUIET, "-l", "deploy", "-p", "2222"],
      ...["-o", "IdentitiesOnly=yes", "-i", "/home/me/.ssh/id", "-o", "Compression=yes"],
      ...["-o", "ServerAliveInterval=7", "-o", "ServerAliveCountMax=5", "-o", "BatchMode=yes"],
      ...["-o", "StrictHostKeyChecking=accept-new", "-F", "/dev/null", "-o", "ProxyJump=gate", ...TAIL],
    ],
  );
});

test("sshMethod.argv makes ssh verbose at sshDebugLevel 1 to 3", () => {
  for (const [level, flags] of [
    [0, QUIET],
    [1, ["-v"]],
    [2, ["-v", "-v"]],
    [3, ["-v", "-v", "-v"]],
  ] as [number, string[]][]) {
    assert.deepEqual(argv({ sshDebugLevel: level }), ["ssh", ...flags, ...ALIVE, ...BATCH, ...TAIL]);
  }
});

test("sshMethod.argv says how host keys are checked, and touches no known_hosts for ignore", () => {
  const keys = (checkHostKeys: SshOptions["checkHostKeys"]) =>
    argv({ checkHostKeys, keepaliveEnabled: false }).slice(5, -TAIL.length);
  assert.deepEqual(keys("enforce"), ENFORCE);
  assert.deepEqual(keys(undefined), []);
  assert.deepEqual(keys("accept"), ["-o", "StrictHostKeyChecking=accept-new"]);
  assert.deepEqual(keys("ignore"), [
    ...["-o", "StrictHostKeyChecking=no"],
    ...["-o", "UserKnownHostsFile=/dev/null"],
    ...["-o", "GlobalKnownHostsFile=/dev/null"],
  ]);
});

test("sshMethod.argv names identities, keepalive and compression only if they are wanted", () => {
  const has = (options: Partial<SshOptions>, word: string) =>
    argv(options).some((each) => each.includes(word));
  assert.equal(has({ identitiesOnly: true }, "IdentitiesOnly"), false);
  assert.equal(has({ identityFile: "/k" }, "IdentitiesOnly=yes"), true);
  assert.equal(has({ identityFile: "/k", identitiesOnly: false }, "IdentitiesOnly"), false);
  assert.equal(has({ identityFile: "/k", identitiesOnly: false }, "/k"), true);
  assert.equal(has({ password: "hunter2" }, "IdentitiesOnly=yes"), true);
  assert.equal(has({ password: "hunter2", identitiesOnly: false }, "IdentitiesOnly"), false);
  assert.equal(has({ keepaliveEnabled: false, keepaliveCount: 1 }, "ServerAlive"), false);
  assert.equal(has({ keepalive: false }, "ServerAlive"), false);
  assert.equal(has({ keepalive: { count: 2, intervalSeconds: 9 } }, "ServerAliveInterval=9"), true);
  assert.equal(has({ keepaliveEnabled: true }, "ServerAliveInterval=15"), true);
  assert.equal(has({ keepaliveCount: 1 }, "ServerAliveInterval=15"), true);
  assert.equal(has({ keepaliveCount: 1 }, "ServerAliveCountMax=1"), true);
  assert.equal(has({}, "Compression"), false);
  assert.equal(has({ compression: false }, "Compression"), false);
});

test("sshMethod.argv with a terminal lets ssh ask: no BatchMode, and a host key question only for accept", () => {
  const asked = (checkHostKeys?: SshOptions["checkHostKeys"]) =>
    argv({ checkHostKeys, keepaliveEnabled: false }, { ...BOOT, hasTerminal: true }).slice(3, -TAIL.length);
  assert.deepEqual(asked(), []);
  assert.deepEqual(asked("enforce"), ENFORCE);
  assert.deepEqual(asked("accept"), ["-o", "StrictHostKeyChecking=ask"]);
  assert.deepEqual(asked("ignore").slice(0, 2), ["-o", "StrictHostKeyChecking=no"]);
});

test("sshMethod.argv shows no password, whatever the options", () => {
  for (const hasTerminal of [true, false]) {
    const words = argv({ password: "hunter2", username: "u", identityFile: "/k" }, { ...BOOT, hasTerminal });
    assert.ok(words.every((word) => !word.includes("hunter2")));
  }
});

test("sshMethod.dialogue takes a terminal only where there is an answer to give", () => {
  const terminal = (options: Partial<SshOptions>) =>
    sshMethod.dialogue?.({ hostname: "web1", ...options }, BOOT).terminal;
  for (const checkHostKeys of [undefined, "enforce", "ignore"] as const) {
    assert.equal(terminal({ checkHostKeys }), "never");
    assert.equal(terminal({ checkHostKeys, password: "hunter2" }), "always");
  }
  assert.equal(terminal({ checkHostKeys: "accept" }), "preferred");
  assert.equal(terminal({ checkHostKeys: "accept", password: "hunter2" }), "always");
});

test("sshMethod.dialogue answers both forms of the host key question with the whole word for accept, and else refuses it", () => {
  const question = "Are you sure you want to continue connecting";
  for (const text of [`${question} (yes/no)? `, `${question} (yes/no/[fingerprint])? `]) {
    const answer = (checkHostKeys?: SshOptions["checkHostKeys"]) =>
      sshMethod.dialogue?.({ hostname: "web1", checkHostKeys }, BOOT).answer?.(text);
    assert.equal(answer("accept"), "yes");
    for (const mode of [undefined, "enforce", "ignore"] as const) {
      const verdict = answer(mode);
      assert.ok(typeof verdict === "object");
      assert.equal(verdict.type, HostKeyError);
      assert.match(verdict.message, mode === undefined ? /is not known$/ : /which checkHostKeys: "/);
    }
  }
});

test("sshMethod.dialogue gives an empty passphrase for a key, and takes no other text for a question", () => {
  const dialogue = sshMethod.dialogue?.({ hostname: "web1", checkHostKeys: "accept" }, BOOT);
  assert.equal(dialogue?.answer?.("Enter passphrase for key '/home/me/.ssh/id': "), "");
  for (const text of ["", "Welcome", "continue connecting", "me@web1's password: "]) {
    assert.equal(dialogue?.answer?.(text), undefined, text);
  }
});

test("sshMethod.dialogue takes the first denial at the start of a line for a wrong password", () => {
  const { isRefusal } = sshMethod.dialogue?.({ hostname: "web1" }, BOOT) ?? {};
  assert.equal(isRefusal?.("Permission denied, please try again."), true);
  assert.equal(isRefusal?.("me@web1: Permission denied, please try again."), true);
  assert.equal(isRefusal?.("sh: x: Permission denied, please try again."), false);
  assert.equal(isRefusal?.("Permission denied"), false);
});

test("sshMethod.argv passes the remote command as one word, the last", () => {
  assert.deepEqual(argv({ sshArgs: ["-4"] }).slice(-TAIL.length - 1), ["-4", ...TAIL]);
});

test("sshMethod.argv puts sshArgs before its session options, and clears no forwards if sshArgs has some", () => {
  for (const forward of [
    ["-L", "1:x:1"],
    ["-R1:x:1"],
    ["-D9"],
    ["-w", "any"],
    ["-o", "LocalForward 1 x:1"],
  ]) {
    const words = argv({ sshArgs: forward });
    assert.ok(!words.includes("ClearAllForwardings=yes"), forward.join(" "));
    assert.deepEqual(words.slice(-SESSION.length - 2), [...SESSION, ...TARGET]);
  }
  for (const other of [["-oLogLevel=ERROR"], ["-lDora"], ["-i", "x"], ["-o", "ForwardAgent=yes"]]) {
    assert.ok(argv({ sshArgs: other }).includes("ClearAllForwardings=yes"), other.join(" "));
  }
});

test("sshMethod.startsAgain leaves out, for one client, an unknown option and those of later versions", () => {
  const refusal = (option: string) => [`command-line: line 0: Bad configuration option: ${option}`];
  const startsAgain = (option: string, words: readonly string[]) =>
    sshMethod.startsAgain?.(refusal(option), words);
  const old = () => argv({ sshPath: "/old/ssh" });
  const older = () => argv({ sshPath: "/older/ssh" });
  const refused = old();
  assert.equal(startsAgain("stdinnull", refused), true);
  assert.deepEqual(old().slice(-4), ["-o", "RemoteCommand=none", ...TARGET]);
  // Another connect that was under way.
  assert.equal(startsAgain("stdinnull", refused), true);
  assert.equal(startsAgain("stdinnull", old()), false);
  assert.equal(startsAgain("remotecommand", older()), true);
  assert.deepEqual(older().slice(-4), [...CLEAR, ...TARGET]);
  assert.equal(startsAgain("proxyjump", argv()), false);
  assert.equal(sshMethod.startsAgain?.(["Welcome", "Bad configuration option: stdinnull"], argv()), false);
  assert.deepEqual(argv().slice(-TAIL.length), TAIL);
});

test("sshMethod.argv refuses a host or a user that ssh would read as an option", () => {
  for (const hostname of ["-oProxyCommand=touch /tmp/pwned", "-v", "", undefined, 1]) {
    assert.throws(() => argv({ hostname: hostname as string }), {
      name: "TypeError",
      message: /hostname must be a name/,
    });
  }
  for (const username of ["-oProxyCommand=x", "-", ""]) {
    assert.throws(() => argv({ username }), { name: "TypeError", message: /username must be a name/ });
  }
});

test("sshMethod.argv refuses an invalid port", () => {
  for (const port of [0, -1, 65536, 22.5, Number.NaN]) {
    assert.throws(() => argv({ port }), {
      name: "RangeError",
      message: /port must be an integer from 1 to 65535/,
    });
  }
  assert.ok(argv({ port: 65535 }).includes("65535"));
});

test("sshMethod.argv refuses an unknown checkHostKeys, inherited names included", () => {
  for (const checkHostKeys of ["yes", "", "toString", "__proto__", null]) {
    assert.throws(() => argv({ checkHostKeys: checkHostKeys as never }), {
      name: "TypeError",
      message: /checkHostKeys must be one of "enforce", "accept", "ignore"/,
    });
  }
});

test("sshMethod.argv refuses an option it does not have, naming those it has", () => {
  assert.throws(() => argv({ hostName: "web1" } as never), {
    name: "TypeError",
    message: /ssh\(\): it has no option "hostName"; it has name, remoteName, .*hostname/,
  });
});

test("sshMethod.contextName is the host, and the port if it is not 22", () => {
  const name = (options: Partial<SshOptions>) =>
    sshMethod.contextName({ hostname: "web1", ...options }, 4711);
  assert.deepEqual(
    [name({}), name({ port: 22 }), name({ port: 2222 })],
    ["ssh.web1", "ssh.web1", "ssh.web1:2222"],
  );
});

const CHANGED = [
  "@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@",
  "@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @",
  "@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@",
  "IT IS POSSIBLE THAT SOMEONE IS DOING SOMETHING NASTY!",
  "Host key for web1 has changed and you have requested strict checking.",
  "Host key verification failed.",
];
const UNKNOWN = [
  "No ED25519 host key is known for [web1]:2222 and you have requested strict checking.",
  "Host key verification failed.",
];

test("sshMethod.diagnose: names an unknown host key, with the cure that fits", () => {
  const verdict = diagnose(UNKNOWN);
  assert.equal(verdict?.type, HostKeyError);
  assert.equal(verdict?.message, "the host key of web1 is not known");
  assert.match(verdict?.hint ?? "", /checkHostKeys: "accept"/);
  assert.match(diagnose(UNKNOWN, { checkHostKeys: "accept" })?.hint ?? "", /sshArgs or ssh_config/);
});

test("sshMethod.diagnose: does not take a changed host key for an unknown one", () => {
  for (const checkHostKeys of ["enforce", "accept"] as const) {
    const verdict = diagnose(CHANGED, { checkHostKeys });
    assert.equal(verdict?.type, HostKeyError);
    assert.equal(verdict?.message, "the host key of web1 has changed");
    assert.match(verdict?.hint ?? "", /ssh-keygen -R/);
  }
});

test("sshMethod.diagnose: blames a changed key that ssh_config accepts only if a given password was not sent", () => {
  const lines = [...CHANGED.slice(0, -1), "deploy@web1: Permission denied (publickey,password)."];
  assert.equal(diagnose(lines)?.type, PasswordError);
  assert.equal(diagnose(lines, { password: "hunter2" })?.message, "the host key of web1 has changed");
  assert.equal(diagnose(CHANGED.slice(0, -1)), undefined);
});

test("sshMethod.diagnose: knows Permission denied at the start of a line, or after user@host", () => {
  for (const line of [
    "Permission denied (publickey).",
    "deploy@web1: Permission denied (publickey,gssapi-keyex).",
    "deploy@2001:db8::1: Permission denied (publickey).",
    "DOMAIN\\deploy@web1: Permission denied (publickey).",
    "permission denied (publickey).",
  ]) {
    const verdict = diagnose([line], { username: "deploy" });
    assert.equal(verdict?.type, PasswordError, line);
    assert.match(verdict?.message ?? "", /^web1 did not accept the login as deploy; it offers publickey/);
    assert.match(verdict?.hint ?? "", /pass identityFile/);
  }
  const verdict = diagnose(["Permission denied (publickey)."], { identityFile: "/k" });
  const cure =
    "check whether /k is among the account's authorized_keys, and load it into ssh-agent if it has a passphrase";
  assert.equal(verdict?.hint, cure);
  const both = diagnose(["Permission denied (publickey,password)."], { identityFile: "/k" });
  assert.equal(both?.hint, `pass password, or ${cure}`);
  const missing = "Warning: Identity file /k not accessible: No such file or directory.";
  const none = diagnose([missing, "Permission denied (publickey)."], { identityFile: "/k" });
  assert.equal(none?.hint, "check identityFile: ssh cannot read /k");
});

test("sshMethod.diagnose: says that the host wants a password", () => {
  for (const methods of [
    "publickey,password",
    "password",
    "keyboard-interactive",
    "publickey,keyboard-interactive",
  ]) {
    const verdict = diagnose([`me@web1: Permission denied (${methods}).`]);
    assert.equal(verdict?.type, PasswordError);
    assert.equal(verdict?.message, "a password is required to log in to web1");
  }
});

test("sshMethod.diagnose asks for no password if one was given but ssh never asked for it", () => {
  for (const methods of ["publickey", "publickey,password"]) {
    const verdict = diagnose([`me@web1: Permission denied (${methods}).`], { password: "hunter2" });
    assert.equal(verdict?.type, PasswordError);
    assert.equal(verdict?.message, `web1 did not accept the login; it offers ${methods}`);
    assert.doesNotMatch(verdict?.hint ?? "", /pass password/);
  }
});

test("sshMethod.diagnose ignores look-alikes", () => {
  for (const line of [
    "sh: 1: /usr/bin/node: Permission denied",
    "bash: /root/.profile: Permission denied (publickey).",
    "cat: /etc/shadow: Permission denied",
    "Permission denied, please try again.",
    "Warning: Permission denied (publickey).",
    "see mail@web1 for: Permission denied (publickey).",
    "motd: Host key verification failed.",
    "last incident: REMOTE HOST IDENTIFICATION HAS CHANGED! see wiki",
    "REMOTE HOST IDENTIFICATION HAS CHANGED",
    "debug1: Host key verification failed.",
    "ssh: connect to host web1 port 22: Connection refused",
    "ssh: Could not resolve hostname web1: Name or service not known",
    "password: ",
    "",
  ]) {
    assert.equal(diagnose([line]), undefined, line);
  }
  assert.equal(diagnose([]), undefined);
});

test("sshMethod.diagnose takes the first verdict among other lines", () => {
  const verdict = diagnose(["Welcome!", "debug1: Authentications that can continue", ...UNKNOWN, ...CHANGED]);
  assert.equal(verdict?.message, "the host key of web1 is not known");
});

test("sshMethod takes keepaliveInterval, the old name of keepaliveIntervalSeconds", () => {
  const options = readConnectOptions<SshOptions>(
    "ssh",
    { hostname: "web1", keepaliveInterval: 7 },
    sshMethod.options,
  );
  assert.equal(options.keepaliveIntervalSeconds, 7);
  assert.equal("keepaliveInterval" in options, false);
  assert.ok(argv(options).includes("ServerAliveInterval=7"));
});
