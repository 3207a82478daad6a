import assert from "node:assert/strict";
import { execFileSync, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import {
  closeSync,
  constants,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  rmSync,
  symlinkSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { brotliCompressSync } from "node:zlib";
import {
  bootCommand,
  bootWords,
  commandFor,
  guardLine,
  NODE_CANDIDATES,
  quoteForAnyShell,
  STAGE_0,
} from "../../src/bootstrap/command.ts";
import { payloadBytes } from "../../src/bootstrap/payload.ts";
import { isFull, sampleOf } from "../support/extent.ts";
import { processesGone } from "../support/leak-check.ts";

const NONCE = "0123456789abcdef";
/** docs/bootstrap.md#budgets */
const COMMAND_BUDGET_BYTES = 960;
const PAYLOAD_BUDGET_BYTES = 19_107;

/** A stand-in for the payload. It prints its arguments, and reads the bytes that follow. */
const PAYLOAD = brotliCompressSync(`(function (require, source, payload, nonce) {
  const fs = require("fs");
  const rest = Buffer.alloc(100);
  const kinds = [3, 4, 5, 6].map((fd) => fs.fstatSync(fd).isFile() ? "file" : "pipe");
  const length = fs.readSync(3, rest, 0, 100);
  const taps = [5, 6].map((fd) => fs.readSync(fd, Buffer.alloc(9), 0, 9));
  const parents = process.platform === "linux" ? shells(process.ppid) : 0;
  const told = { nonce, payload: payload.length, isWhole: source.endsWith("})"), kinds, taps, parents, rest: String(rest.slice(0, length)) };
  console.log("this goes to the shell's stdout");
  fs.writeSync(4, JSON.stringify(told) + "\\n");
  function shells(pid) {
    if (!fs.readFileSync("/proc/" + pid + "/cmdline", "latin1").split("\\0").includes(nonce)) return 0;
    return 1 + shells(fs.readFileSync("/proc/" + pid + "/stat", "latin1").replace(/.*\\) . (\\d+) [^]*/, "$1"));
  }
})`);
const TOLD = {
  nonce: NONCE,
  payload: PAYLOAD.length,
  isWhole: true,
  kinds: ["pipe", "pipe", "pipe", "pipe"],
  // Both are empty, and nobody writes there.
  taps: [0, 0],
  rest: "MJ frames",
};

const folder = mkdtempSync(join(tmpdir(), "mitogen boot-"));
const plainFolder = mkdtempSync(join(tmpdir(), "mitogen-boot-"));
after(() => {
  for (const each of [folder, plainFolder]) rmSync(each, { recursive: true });
});

/** Makes a folder that serves as the whole PATH and holds these programs under these names. */
function pathWith(name: string, programs: Record<string, string>, parent = folder): string {
  const path = join(parent, name);
  mkdirSync(path);
  for (const [link, target] of Object.entries(programs)) symlinkSync(target, join(path, link));
  return path;
}

function which(name: string): string {
  return execFileSync("/bin/sh", ["-c", `command -v ${name}`], { encoding: "utf8" }).trim();
}

function run(argv: readonly string[], input: Buffer, env: Record<string, string> = {}) {
  const [command, ...args] = argv as [string, ...string[]];
  // As after a login, the environment holds only what a shell needs.
  return spawnSync(command, args, {
    input,
    encoding: "utf8",
    env: { PATH: process.env.PATH ?? "", HOME: folder, ...env },
    timeout: 30_000,
  });
}

/** `shells` is the number of shells that wait for node. */
function assertBooted({ stdout, stderr, status }: ReturnType<typeof run>, shells?: number): void {
  const [mark, told, rest] = stdout.replace("this goes to the shell's stdout\n", "").split("\n");
  assert.equal(mark, `${NONCE}:0`, stderr);
  const { parents, ...others } = JSON.parse(told ?? "");
  assert.deepEqual(others, TOLD);
  if (shells !== undefined && process.platform === "linux") assert.equal(parents, shells);
  assert.deepEqual([rest, status, stderr], ["", 0, ""]);
}

const behindGuard = (...parts: Buffer[]) => Buffer.concat([Buffer.from(guardLine(NONCE)), ...parts]);
const input = behindGuard(PAYLOAD, Buffer.from("MJ frames"));
const words = (nodeCommand: readonly string[], length = PAYLOAD.length) =>
  bootWords(NONCE, length, nodeCommand);

test("STAGE_0 holds nothing that a shell reads inside single quotes, and only printable ASCII", () => {
  assert.doesNotMatch(STAGE_0, /['!\n`]/);
  assert.match(STAGE_0, /^[\x20-\x7e]+$/);
});

test("bootCommand fits the budget with the real payload, and so does the payload", () => {
  assert.ok(payloadBytes().length <= PAYLOAD_BUDGET_BYTES, `${payloadBytes().length}`);
  const line = bootCommand(NONCE, PAYLOAD_BUDGET_BYTES, []);
  assert.ok(line.length <= COMMAND_BUDGET_BYTES, `${line.length} bytes`);
});

test("payloadBytes is the same buffer every time", () => {
  assert.equal(payloadBytes(), payloadBytes());
});

/** The length of 42 bytes and of the guard line before them. */
const LENGTH = String(42 + guardLine(NONCE).length);

test("bootWords returns sh, -c, stage 0, nonce, length and the node command", () => {
  assert.deepEqual(bootWords("abc", 42, []), ["sh", "-c", STAGE_0, "abc", LENGTH]);
  assert.deepEqual(bootWords("abc", 42, ["env", "A=b", "node"]).slice(3), [
    "abc",
    LENGTH,
    "env",
    "A=b",
    "node",
  ]);
});

test("bootCommand returns the words as one line, quoted where necessary", () => {
  assert.equal(bootCommand("abc", 42, []), `sh -c '${STAGE_0}' abc ${LENGTH}`);
  assert.equal(
    bootCommand("abc", 42, ["/opt/my node/bin/node", "--flag=$HOME"]),
    `sh -c '${STAGE_0}' abc ${LENGTH} '/opt/my node/bin/node' '--flag=$HOME'`,
  );
});

test("quoteForAnyShell leaves plain words alone and quotes the rest", () => {
  for (const word of ["node", "/usr/bin/node-20", "a@b", "x=1", "%", "a+b:c,d.e_f"]) {
    assert.equal(quoteForAnyShell(word), word);
  }
  for (const word of [
    "",
    " ",
    "a b",
    "$HOME",
    "~",
    "*",
    "a;b",
    "a|b",
    "a>b",
    "(a)",
    "[a]",
    "{a}",
    "#a",
    '"a"',
    "a\tb",
    "é",
    "=node",
  ]) {
    assert.equal(quoteForAnyShell(word), `'${word}'`);
  }
});

test("quoteForAnyShell refuses what some shell reads inside single quotes", () => {
  for (const word of ["it's", "a!b", "a\nb", "a\rb", "a`b", "a\\b", "a\0b"]) {
    assert.throws(() => quoteForAnyShell(word), {
      name: "RangeError",
      message: new RegExp(
        `^Cannot pass ${JSON.stringify(word).replace(/[\\.*+?^$]/g, "\\$&")} to an unknown login shell`,
      ),
    });
    assert.throws(() => bootCommand(NONCE, 1, [word]), RangeError);
    // Without a login shell in between, any word will do.
    assert.equal(bootWords(NONCE, 1, [word]).at(-1), word);
  }
});

const loginShells: [string, string[]][] = [
  ["/bin/dash", ["-c"]],
  ["/bin/bash", ["-c"]],
  ["/bin/rbash", ["-c"]],
  ["/bin/zsh", ["-c"]],
  ["/usr/bin/fish", ["-c"]],
  ["/usr/bin/tcsh", ["-c"]],
  ["/usr/bin/ksh", ["-c"]],
  ["/usr/bin/mksh", ["-c"]],
  ["/bin/busybox", ["sh", "-c"]],
];
for (const [shell, args] of sampleOf(4, loginShells)) {
  test(`bootCommand boots through the login shell ${shell}`, (t) => {
    if (!existsSync(shell)) {
      t.skip(`${shell} is not installed`);
      return;
    }
    assertBooted(run([shell, ...args, bootCommand(NONCE, PAYLOAD.length, [process.execPath])], input));
    assertBooted(
      run([shell, ...args, bootCommand(NONCE, PAYLOAD.length, ["env", "A=b c", process.execPath])], input),
    );
    // Version managers need this: a file is sourced first.
    writeFileSync(join(folder, "env.sh"), `node=${process.execPath}`);
    const sourcing = ["sh", "-c", `. "${folder}/env.sh" && exec $node "$@"`, "sh"];
    assertBooted(run([shell, ...args, bootCommand(NONCE, PAYLOAD.length, sourcing)], input));
  });
}

/**
 * The shells, and how many of their processes wait for node. Before 5.1, bash made files of here-documents. It does
 * so now if it is told to be compatible.
 */
const posixShells: [shell: string[], waiting?: number, env?: Record<string, string>][] = [
  [["/bin/sh"]],
  [["/bin/dash"], 1],
  [["/bin/bash"], 1],
  [["/bin/bash", "--posix"], 1],
  [["/bin/bash"], 2, { BASH_COMPAT: "5.0" }],
  [["/bin/zsh", "--emulate", "sh"], 1],
  [["/usr/bin/ksh"], 1],
  [["/usr/bin/mksh"], 2],
  [["/bin/busybox", "sh"], 1],
];
const nodeOnly = pathWith("node only", { node: process.execPath });
const nodejsOnly = pathWith("nodejs only", { nodejs: process.execPath });
const neither = pathWith("neither", { uname: which("uname") });
/** ksh quotes what `command -v` prints. */
const forKsh = [
  pathWith("node", { node: process.execPath }, plainFolder),
  pathWith("nodejs", { nodejs: process.execPath }, plainFolder),
] as const;
for (const [shell, waiting, env = {}] of sampleOf(4, posixShells)) {
  const name = [...Object.entries(env), shell].flat(2).join(" ");
  test(`STAGE_0 runs under ${name}, with nodePath and without`, (t) => {
    if (!existsSync(shell[0] as string)) {
      t.skip(`${shell[0]} is not installed`);
      return;
    }
    const argv = (nodeCommand: readonly string[]) => [...shell, ...words(nodeCommand).slice(1)];
    assertBooted(run(argv([process.execPath]), input, env), waiting);
    const [withNode, withNodejs] = name.endsWith("/ksh") ? forKsh : [nodeOnly, nodejsOnly];
    assertBooted(run(argv([]), input, { ...env, PATH: withNode }));
    assertBooted(run(argv([]), input, { ...env, PATH: withNodejs }));
    assertBooted(run(argv(["node"]), input, { ...env, PATH: nodeOnly }));
    if (existsSync(NODE_CANDIDATES.at(-1) as string)) return;
    const { stdout, status } = run(argv([]), input, { PATH: neither });
    assert.match(
      stdout,
      new RegExp(`^${NONCE}:N ${process.platform === "linux" ? "Linux" : "\\w+"} \\S+\\n$`),
    );
    assert.equal(status, 127);
  });
}

for (const [shell, , env = {}] of sampleOf(4, posixShells)) {
  const name = [...Object.entries(env), shell].flat(2).join(" ");
  test(`STAGE_0 without node under ${name} evaluates what is sent to it, and nothing else`, (t) => {
    if (!existsSync(shell[0] as string)) {
      t.skip(`${shell[0]} is not installed`);
      return;
    }
    const [command, ...args] = bootWords(NONCE, PAYLOAD.length, undefined);
    assert.equal(command, "sh");
    const noise = Buffer.from(`\0\xff $(echo A>&4)\n${NONCE}:x echo B>&4\necho C>&4\n`, "latin1");
    const boot = Buffer.concat([
      behindGuard(PAYLOAD, noise),
      Buffer.from(commandFor(NONCE, `echo "a  $" 'it'>&4;f='${process.execPath}';umask 022`)),
      // The line is sent twice and read once.
      input,
      Buffer.from(commandFor(NONCE, 'set "$f"')),
      input,
    ]);
    const { stdout, stderr, status } = run([...shell, ...args], boot, env);
    const [none, told, ...booted] = stdout.split("\n");
    assert.match(none ?? "", new RegExp(`^${NONCE}:N \\w+ \\S+$`));
    assert.match(told ?? "", /^a {2}\$ it$/);
    assertBooted({ ...run(["true"], Buffer.alloc(0)), stdout: booted.join("\n"), stderr, status });
  });
}

test("STAGE_0 runs where no file can be written", (t) => {
  // The folders in which a shell would make the file of a here-document.
  const mount = (path: string) => `mount -t tmpfs -o ro none ${path}`;
  const readOnly = ["unshare", "-m", "sh", "-c", `${mount("/tmp")}&&${mount("/var/tmp")}&&exec "$@"`, "sh"];
  if (spawnSync(readOnly[0] as string, [...readOnly.slice(1), "true"]).status !== 0) {
    t.skip("nothing can be mounted here");
    return;
  }
  for (const [shell] of sampleOf(4, posixShells)) {
    if (!existsSync(shell[0] as string)) continue;
    const result = run([...readOnly, ...shell, ...words([process.execPath]).slice(1)], input);
    assertBooted({ ...result, stderr: "" });
  }
});

test("STAGE_0 with a nodePath that does not exist ends at once, and says so on stderr", () => {
  const { stdout, stderr, status } = run(words(["/nonexistent/node"]), input);
  assert.deepEqual([stdout, status], [`${NONCE}:0\n`, 127]);
  assert.match(stderr, /\/nonexistent\/node/);
});

for (const shell of ["dash", "bash"]) {
  test(`STAGE_0 under ${shell} reports at once that node was killed, while it ends the processes that node left`, async (t) => {
    if (!existsSync(`/bin/${shell}`) || !existsSync("/usr/bin/setsid")) {
      t.skip(`there is no ${shell}, or no setsid`);
      return;
    }
    const sleep = which("sleep");
    const killed = brotliCompressSync(`(function (require) {
      const stubborn = require("child_process").spawn("sh", ["-c", "trap '' 15; echo; exec ${sleep} 600"], {
        stdio: ["ignore", "pipe", "ignore"],
      });
      stubborn.stdout.once("data", () => {
        require("fs").writeSync(4, stubborn.pid + "\\n");
        process.kill(process.pid, "SIGKILL");
      });
    })`);
    // The pause before SIGKILL lasts until the test writes.
    const pause = join(folder, `pause ${shell}`);
    execFileSync("mkfifo", [pause]);
    const path = pathWith(`pausing ${shell}`, {});
    writeFileSync(join(path, "sleep"), `#!/bin/sh\nread line < "${pause}"\n`, { mode: 0o755 });
    const { stdout, status } = run(
      [`/bin/${shell}`, ...words([process.execPath], killed.length).slice(1)],
      behindGuard(killed),
      {
        PATH: `${path}:${process.env.PATH}`,
      },
    );
    assert.equal(status, 137, stdout);
    const pid = Number(stdout.split("\n")[1]);
    assert.ok(process.kill(pid, 0)); // Throws if the process is gone.
    writeFileSync(pause, "\n");
    assert.deepEqual(await processesGone([pid], 15_000), []);
  });
}

test("Stage 0 leaves its process group empty if node has left nothing, so that the parent need not search", async () => {
  for (let round = 0; round < (isFull ? 10 : 4); round++) {
    const [command, ...args] = words([process.execPath]) as [string, ...string[]];
    const shell = spawn(command, args, { stdio: ["pipe", "ignore", "ignore"], detached: true });
    shell.stdin?.end(behindGuard(Buffer.from("no payload")));
    await once(shell, "exit");
    assert.throws(() => process.kill(-(shell.pid as number), 0), { code: "ESRCH" });
  }
});

test("Stage 1 on a node that is too old reports the version and ends", () => {
  const fake = join(folder, "old.cjs");
  writeFileSync(
    fake,
    `Object.defineProperty(process, "versions", { value: { ...process.versions, node: "10.24.1" } });`,
  );
  const { stdout, status } = run(words([process.execPath, "--require", fake]), input);
  assert.deepEqual([stdout, status], [`${NONCE}:0\n${NONCE}:V 10.24.1\n`, 0]);
});

test("Stage 1 ends at once if the payload is cut short or broken, after the marker of the shell", () => {
  for (const broken of [PAYLOAD.subarray(0, -1), Buffer.alloc(0), Buffer.alloc(PAYLOAD.length, "junk")]) {
    const { stdout, stderr, status, signal } = run(words([process.execPath]), behindGuard(broken));
    assert.deepEqual([stdout, status, signal], [`${NONCE}:0\n`, 1, null]);
    assert.notEqual(stderr, "");
  }
});

test("Stage 1 reads a payload that comes byte by byte through a non-blocking stdin", async () => {
  const fifo = join(folder, "fifo");
  execFileSync("mkfifo", [fifo]);
  const fd = openSync(fifo, constants.O_RDWR | constants.O_NONBLOCK);
  const [command, ...args] = words([process.execPath]) as [string, ...string[]];
  const child = spawn(command, args, { stdio: [fd, "pipe", "pipe"] });
  let stdout = "";
  let stderr = "";
  child.stdout?.setEncoding("utf8").on("data", (text: string) => {
    stdout += text;
  });
  child.stderr?.setEncoding("utf8").on("data", (text: string) => {
    stderr += text;
  });
  const closed = once(child, "close");
  for (const byte of behindGuard(PAYLOAD)) {
    writeSync(fd, Buffer.from([byte]));
    await new Promise((resolve) => setImmediate(resolve));
  }
  writeSync(fd, "MJ frames");
  const [status, signal] = await closed;
  closeSync(fd);
  assertBooted({ stdout, stderr, status, signal } as ReturnType<typeof run>);
});

test("guardLine ends any shell that reads it, before the shell reads anything else", () => {
  const bytes = behindGuard(payloadBytes());
  for (const [shell, args] of [
    ...loginShells,
    ["/bin/bash", []],
    ["/bin/bash", ["--posix"]],
  ] as typeof loginShells) {
    if (!existsSync(shell) || shell.endsWith("fish")) continue;
    const { stdout, stderr, status } = run([shell, ...args.filter((word) => word !== "-c")], bytes);
    assert.deepEqual([stdout, stderr, status], [`${NONCE}:S\n`, "", 0], shell);
  }
});

test("The payload that is shipped is an expression made of ASCII", () => {
  const { status, stdout, stderr } = run(
    [process.execPath, "-e", "process.stdout.write(String(zlib.brotliDecompressSync(fs.readFileSync(0))))"],
    payloadBytes(),
  );
  assert.equal(status, 0, stderr);
  assert.match(
    stdout,
    /^\(function\(require,source,payload,nonce\)\{[\x20-\x7e\n\t]*\}\)\n\/\/# sourceURL=mitogen:payload$/,
  );
});
