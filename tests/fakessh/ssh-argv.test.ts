import assert from "node:assert/strict";
import { test } from "node:test";
import { parseSshArgv } from "../../src/fakessh/ssh-argv.ts";

const plain = { isSubsystem: false, hasNoStdin: false };

test("parseSshArgv reads the arguments that rsync, git, scp and sftp pass", () => {
  const cases: [string[], object][] = [
    [
      ["any", "rsync", "--server", "-e.LsfxCIvu", ".", "/srv/"],
      { ...plain, command: "rsync --server -e.LsfxCIvu . /srv/" },
    ],
    [["-l", "ada", "any", "rsync", "--server", ".", "x"], { ...plain, command: "rsync --server . x" }],
    [
      ["-o", "SendEnv=GIT_PROTOCOL", "-p", "2222", "git@any", "git-upload-pack '/srv/a b.git'"],
      { ...plain, command: "git-upload-pack '/srv/a b.git'" },
    ],
    [
      ["-x", "-oPermitLocalCommand=no", "-oRemoteCommand=none", "-s", "--", "any", "sftp"],
      { command: "sftp", isSubsystem: true, hasNoStdin: false },
    ],
    [["-x", "-oForwardAgent=no", "--", "any", "scp -r -t /tmp"], { ...plain, command: "scp -r -t /tmp" }],
    [["-4nTp22", "any", "-v", "--", "-command"], { ...plain, hasNoStdin: true, command: "-command" }],
    [["any", "-p", "22", "uname"], { ...plain, command: "uname" }],
    [["any", "--", "ls", "--", "-l"], { ...plain, command: "ls -- -l" }],
  ];
  for (const [argv, expected] of cases) assert.deepEqual(parseSshArgv(argv), expected, argv.join(" "));
});

test("parseSshArgv refuses a missing host or command, and impossible options", () => {
  const cases: [string[], RegExp][] = [
    [[], /no host was given/],
    [["-p", "22"], /no host was given/],
    [["-p"], /no host was given/],
    [["any"], /no command was given/],
    [["-N", "any"], /-N is not possible/],
    [["-G", "any", "true"], /-G is not possible/],
    [["-W", "a:1", "any"], /-W is not possible/],
  ];
  for (const [argv, expected] of cases) assert.throws(() => parseSshArgv(argv), expected, argv.join(" "));
});
