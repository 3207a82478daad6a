import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { appendFileSync, chownSync, mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { type Context, type ExecOptions, Router, type SshOptions } from "../../src/index.ts";
import * as remote from "../fixtures/remote/functions.ts";
import { repoRoot, skipReason } from "../support/lab.ts";
import { checkLeaks } from "../support/leak-check.ts";
import { NodelessMachine, NodelessSshd } from "../support/nodeless.ts";
import { machineRoom, nodelessSkip, runtimes } from "../support/provisioning.ts";

const MBIT_PER_S = 100;
const PROXY = [
  process.execPath,
  join(repoRoot, "tests/support/delay-proxy.mjs"),
  ...["--delay-ms", "50", "--mbit-per-s", String(MBIT_PER_S)],
];
/** An account of this machine. Its home is also made in the other one. */
const ACCOUNT = "mitogen-nonode";
/** What is promised: at most FACTOR times as long as the bytes take, plus BEYOND_MS. */
const FACTOR = 1.3;
const BEYOND_MS = 3000;
/** More than one, because other programs may keep the machine busy. */
const ATTEMPTS = 3;

const skip = nodelessSkip() || skipReason();
// sshd refuses folders that others may write to, also above. Only root may write to this one.
const { parent } = machineRoom(skip === false ? { under: "/srv" } : {});
let box: NodelessMachine;
let sshd: NodelessSshd;
let uid = 0;
let homes = 0;

before(async () => {
  if (skip !== false) return;
  box = new NodelessMachine(join(parent, "machine"));
  uid = Number(execFileSync("id", ["-u", ACCOUNT], { encoding: "utf8" }));
  appendFileSync(join(box.root, "etc/passwd"), `${ACCOUNT}:x:${uid}:${uid}::/home/${ACCOUNT}:/bin/sh\n`);
  emptyHome(ACCOUNT, uid);
  sshd = await NodelessSshd.start(box, ACCOUNT);
  // The first connect packs the runtime, so that this is not measured.
  await using router = new Router(undefined, { provision: "cache", runtimes });
  await router.exec({ command: box.command({ home: emptyHome() }) });
});
after(async () => await sshd?.stop());

checkLeaks({ ignoreCommand: /esbuild/ });

/** Makes an empty home. A target with another home is a new target. */
function emptyHome(name = `h${++homes}`, owner = 0): string {
  const path = join(box.root, "home", name);
  rmSync(path, { recursive: true, force: true });
  mkdirSync(path);
  chownSync(path, owner, owner);
  return `/home/${name}`;
}

/** How long `command` takes to read `bytes` bytes, in milliseconds. */
async function timeToSend([command = "", ...args]: readonly string[], bytes: number): Promise<number> {
  const started = performance.now();
  const child = spawn(command, args, { stdio: ["pipe", "ignore", "inherit"] });
  child.stdin.end(Buffer.alloc(bytes));
  const code = await new Promise((resolve) => child.on("close", resolve));
  assert.equal(code, 0);
  return performance.now() - started;
}

interface Timed {
  readonly context: Context;
  readonly ms: number;
  readonly bytes: number;
}

async function timed(
  connect: (options: Pick<ExecOptions, "onProgress">) => Promise<Context>,
): Promise<Timed> {
  let bytes = 0;
  const started = performance.now();
  const context = await connect({
    onProgress({ totalBytes }) {
      bytes = totalBytes;
    },
  });
  return { context, ms: performance.now() - started, bytes };
}

/** Compares `connect`, which crosses the link, with `cat`, which reads the same number of bytes over the link. */
async function keepsPromise(
  tell: (line: string) => void,
  connect: (router: Router, options: Pick<ExecOptions, "onProgress">) => Promise<Context>,
  cat: readonly string[],
): Promise<void> {
  let isKept = false;
  let told = "";
  for (let attempt = 0; attempt < ATTEMPTS && !isKept; attempt++) {
    await using router = new Router(undefined, { provision: "cache", runtimes });
    // The same connect without the link shows how long this machine takes for everything else.
    const near = await timed((options) =>
      router.exec({ ...options, command: box.command({ home: emptyHome() }) }),
    );
    const far = await timed((options) => connect(router, options));
    assert.equal(await far.context.call(remote.add, 2, 3), 5);
    assert.ok(far.bytes > 10_000_000 && far.bytes === near.bytes, `${far.bytes} bytes were sent`);
    const bytesMs = await timeToSend(cat, far.bytes);
    const ownMs = (far.bytes * 8) / (MBIT_PER_S * 1000);
    assert.ok(
      bytesMs > 0.9 * ownMs,
      `the link is faster than it should be: ${bytesMs} ms for ${far.bytes} bytes`,
    );
    isKept = far.ms < FACTOR * bytesMs + Math.max(BEYOND_MS, 2 * near.ms);
    told = `the connect took ${far.ms.toFixed(0)} ms, ${far.bytes} bytes ${bytesMs.toFixed(0)} ms, a connect without the link ${near.ms.toFixed(0)} ms`;
    tell(told);
  }
  assert.ok(isKept, told);
}

describe(`over a link of ${MBIT_PER_S} Mbit/s with round trips of 100 ms the first connect takes little longer than the bytes`, {
  skip,
}, () => {
  it("with ssh", async (t) => {
    const quoted = PROXY.map((word) => `'${word}'`).join(" ");
    const sshArgs = ["-o", `ProxyCommand=${quoted} %h %p`];
    const login: SshOptions = {
      hostname: "127.0.0.1",
      port: sshd.port,
      username: ACCOUNT,
      identityFile: sshd.identityFile,
      checkHostKeys: "ignore",
      sshArgs,
    };
    const cat = [
      ...[
        "ssh",
        "-F",
        "none",
        ...sshArgs,
        "-o",
        "StrictHostKeyChecking=no",
        "-o",
        "UserKnownHostsFile=/dev/null",
      ],
      ...["-o", "LogLevel=ERROR", "-i", sshd.identityFile, "-p", String(sshd.port), `${ACCOUNT}@127.0.0.1`],
      "cat >/dev/null",
    ];
    await keepsPromise(
      (line) => t.diagnostic(line),
      async (router, options) => {
        emptyHome(ACCOUNT, uid);
        return await router.ssh({ ...login, ...options });
      },
      cat,
    );
  });

  it("through a hop at the link's other end", async (t) => {
    await keepsPromise(
      (line) => t.diagnostic(line),
      async (router, options) => {
        const hop = await router.exec({ command: [...PROXY, "--", "env"], nodePath: process.execPath });
        return await router.exec({ ...options, via: hop, command: box.command({ home: emptyHome() }) });
      },
      [...PROXY, "--", "sh", "-c", "cat >/dev/null"],
    );
  });
});
