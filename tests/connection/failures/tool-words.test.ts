import assert from "node:assert/strict";
import { test } from "node:test";
import { readWords } from "../../../src/connection/failures/tool-words.ts";

/** What the tools print. Tools that the lab has are run in tests/e2e/connect-codes.test.ts. */
const SAID: readonly (readonly [method: string, line: string, code: string | undefined, message: RegExp])[] =
  [
    [
      "ssh",
      "ssh: connect to host web1 port 22: Connection refused",
      "ERR_REFUSED",
      /^web1 refuses connections on port 22$/,
    ],
    ["ssh", "ssh: connect to host web1 port 22: No route to host", "ERR_UNREACHABLE", /No route to host$/],
    ["ssh", "ssh: connect to host web1 port 22: Connection timed out", "ERR_UNREACHABLE", /timed out$/],
    [
      "ssh",
      "ssh: Could not resolve hostname web1: Temporary failure in name resolution",
      "ERR_UNKNOWN_HOST",
      /of web1 .*: Temporary/,
    ],
    ["ssh", "No user exists for uid 4711", "ERR_UNKNOWN_USER", /user id 4711/],
    ["ssh", "Too many logins for 'ada'.", "ERR_TOO_MANY_SESSIONS", /'ada' has too many logins/],
    [
      "ssh",
      "Received disconnect from 10.0.0.1 port 22:2: Too many authentication failures",
      undefined,
      /10\.0\.0\.1 gave up/,
    ],
    ["ssh", "channel 0: open failed: connect failed: Connection refused", "ERR_REFUSED", /jump host/],
    ["ssh", "channel 0: open failed: connect failed: No route to host", "ERR_UNREACHABLE", /jump host/],
    [
      "ssh",
      "channel 0: open failed: connect failed: Name or service not known",
      "ERR_UNKNOWN_HOST",
      /jump host/,
    ],
    ["ssh", "channel 0: open failed: administratively prohibited: open failed", "ERR_POLICY", /forbids/],
    ["ssh", "Connection timed out during banner exchange", "ERR_UNREACHABLE", /banner exchange$/],
    [
      "ssh",
      "Unable to negotiate with 10.0.0.1 port 22: no matching host key type found. Their offer: ssh-rsa",
      undefined,
      /10\.0\.0\.1 have no host key type in common/,
    ],
    ["ssh", "Your account has expired; please contact your system administrator.", "ERR_POLICY", /expired/],
    ["ssh", "fatal: What do you think I am? A shell?", "ERR_NO_SHELL", /allows only git/],
    ["sudo", "sudo: unknown user: bob", "ERR_UNKNOWN_USER", /no user bob$/],
    [
      "sudo",
      "ada is not in the sudoers file.  This incident will be reported.",
      "ERR_POLICY",
      /^ada is not in/,
    ],
    [
      "sudo",
      "Sorry, user ada is not allowed to execute '/usr/bin/sh -c …' as root on web1.",
      "ERR_POLICY",
      /allow ada/,
    ],
    ["sudo", "sudo-rs: I'm sorry ada. I'm afraid I can't do that", "ERR_POLICY", /allow ada/],
    [
      "sudo",
      'sudo: The "no new privileges" flag is set, which prevents sudo from running as root.',
      "ERR_POLICY",
      /no new privileges/,
    ],
    ["su", "su: unknown user bob", "ERR_UNKNOWN_USER", /no user bob$/],
    [
      "su",
      "su: failed to execute /bin/gone: No such file or directory",
      "ERR_NO_SHELL",
      /\/bin\/gone, cannot/,
    ],
    ["su", "su: Permission denied", "ERR_POLICY", /may not use su/],
    [
      "docker",
      "Error response from daemon: container 1f2e is not running",
      "ERR_UNKNOWN_CONTAINER",
      /is not running/,
    ],
    [
      "docker",
      "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?",
      "ERR_REFUSED",
      /daemon/,
    ],
    [
      "docker",
      "permission denied while trying to connect to the Docker daemon socket at unix:///var/run/docker.sock",
      "ERR_POLICY",
      /may not use/,
    ],
    [
      "docker",
      'exec failed: unable to start container process: exec: "sh": executable file not found in $PATH',
      "ERR_NO_SHELL",
      /no sh/,
    ],
    [
      "docker",
      "docker: Error response from daemon: pull access denied for nosuch, repository does not exist",
      "ERR_UNKNOWN_CONTAINER",
      /no image nosuch$/,
    ],
    [
      "kubectl",
      'error: unable to upgrade connection: container not found ("web")',
      "ERR_UNKNOWN_CONTAINER",
      /no running container web/,
    ],
    [
      "kubectl",
      "Error from server (BadRequest): container nope is not valid for pod web",
      "ERR_UNKNOWN_CONTAINER",
      /no container nope$/,
    ],
    ["kubectl", 'Error from server (Forbidden): pods "web" is forbidden', "ERR_POLICY", /does not allow/],
    [
      "kubectl",
      "The connection to the server 10.0.0.1:6443 was refused - did you specify the right host or port?",
      "ERR_REFUSED",
      /10\.0\.0\.1:6443 refuses/,
    ],
    [
      "kubectl",
      "Unable to connect to the server: dial tcp: lookup api.invalid on 10.0.0.53:53: no such host",
      "ERR_UNKNOWN_HOST",
      /server api\.invalid /,
    ],
    [
      "kubectl",
      "Unable to connect to the server: dial tcp 10.0.0.1:6443: i/o timeout",
      "ERR_UNREACHABLE",
      /10\.0\.0\.1:6443 cannot/,
    ],
    ["jail", 'jexec: jail "web" not found', "ERR_UNKNOWN_CONTAINER", /no jail web/],
    ["setns", "No machine 'web' known", "ERR_UNKNOWN_CONTAINER", /no such container/],
  ];

test("readWords knows what tools say when they fail", () => {
  for (const [method, line, code, message] of SAID) {
    const verdict = readWords(method, ["Welcome", line, "exit status 1"]);
    assert.equal(verdict?.code, code, line);
    assert.match(verdict?.message ?? "", message, line);
    assert.notEqual(verdict?.hint, "", line);
  }
});

test("readWords takes the first line that it knows, and ignores look-alikes", () => {
  const [refused, reset] = [
    "ssh: connect to host a port 22: Connection refused",
    "Connection closed by 10.0.0.1 port 22",
  ];
  assert.match(readWords("ssh", [refused, reset])?.message ?? "", /^a refuses/);
  for (const line of [
    "",
    "motd: ssh: connect to host a port 22: Connection refused",
    "see sudo: unknown user bob",
  ]) {
    assert.equal(readWords("ssh", [line]), undefined, line);
    assert.equal(readWords("sudo", [line]), undefined, line);
  }
  assert.equal(readWords("toString", [refused]), undefined);
  assert.equal(readWords("local", [refused]), undefined);
});
