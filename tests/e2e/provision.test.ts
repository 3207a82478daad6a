import assert from "node:assert/strict";
import * as childProcess from "node:child_process";
import * as fs from "node:fs";
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import * as os from "node:os";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import {
  type Context,
  type ExecOptions,
  type ProvisionProgress,
  Router,
  StreamError,
} from "../../src/index.ts";
import * as remote from "../fixtures/remote/functions.ts";
import * as runtimeRequests from "../fixtures/remote/runtime-requests.ts";
import { nodes, repoRoot, skipReason } from "../support/lab.ts";
import { part } from "../support/lab-methods.ts";
import { checkLeaks } from "../support/leak-check.ts";
import { NodelessMachine, type NodelessOptions, nodelessSkip } from "../support/nodeless.ts";
import { sshTo } from "../support/ssh-options.ts";

checkLeaks({ ignoreCommand: /esbuild/ });

const skip = nodelessSkip();
const parent = mkdtempSync(join(tmpdir(), "mitogen-provision-"));
const cacheBefore = process.env.XDG_CACHE_HOME;
// What is packed is packed once for all of them.
process.env.XDG_CACHE_HOME = join(parent, "cache");
mkdirSync(process.env.XDG_CACHE_HOME);
chmodSync(parent, 0o755);
after(() => {
  if (cacheBefore === undefined) delete process.env.XDG_CACHE_HOME;
  else process.env.XDG_CACHE_HOME = cacheBefore;
  rmSync(parent, { recursive: true, force: true });
});

/** The smallest there is. */
const runtimes = nodes[12] === undefined ? {} : { "linux-x64": nodes[12] };
let machines = 0;

function machine(options?: NodelessOptions): NodelessMachine {
  return new NodelessMachine(join(parent, `root ${++machines}`), options);
}

/** The copies below a folder, and everything else that is there. */
function kept(folder: string): { copies: string[]; parts: string[] } {
  if (!existsSync(folder)) return { copies: [], parts: [] };
  const all = readdirSync(folder, { recursive: true, encoding: "utf8" });
  return {
    copies: all.filter((name) => /^\w{64}\/node$/.test(name)),
    parts: all.filter((name) => /part|try/.test(name)),
  };
}

async function failureOf(router: Router, options: ExecOptions): Promise<StreamError> {
  try {
    await router.exec({ timeoutMs: 60_000, ...options });
  } catch (error) {
    assert.ok(error instanceof StreamError, String(error));
    return error;
  }
  throw new Error("It has connected");
}

describe("a machine that has busybox and no library", { skip }, () => {
  it("is brought a node once, and keeps it", async () => {
    const box = machine();
    await using router = new Router(undefined, { provision: "cache", runtimes });
    const told: ProvisionProgress[] = [];
    const context = await router.exec({ command: box.command(), onProgress: (each) => void told.push(each) });
    assert.equal(await context.call(remote.add, 2, 3), 5);
    const folder = join(box.root, "root/.cache/mitogen");
    const { copies, parts } = kept(folder);
    assert.deepEqual([copies.length, parts], [1, []]);
    const node = `/root/.cache/mitogen/${copies[0]}`;
    assert.equal(await context.call(fs.readlinkSync, "/proc/self/exe"), node);
    assert.equal(statSync(folder).mode & 0o777, 0o700);
    assert.equal(statSync(join(box.root, node)).mode & 0o777, 0o700);
    assert.deepEqual([told.at(-1)?.sentBytes, told.at(-1)?.method], [told.at(-1)?.totalBytes, "exec"]);
    // What is started with its own node runs too.
    assert.equal(
      String(await context.call(childProcess.execFileSync, node, ["-p", "process.execPath"])).trim(),
      node,
    );
    const below = await router.local({ via: context });
    assert.equal(await below.call(fs.readlinkSync, "/proc/self/exe"), node);
    const before = router.getStats().bytesSent;
    const again = await router.exec({ command: box.command() });
    assert.equal(await again.call(remote.add, 4, 5), 9);
    assert.ok(router.getStats().bytesSent - before < 200_000, "it was uploaded again");
  });

  it("gets one upload from many connects at once", async () => {
    const box = machine();
    await using router = new Router(undefined, { provision: "cache", runtimes });
    let uploads = 0;
    const onProgress = ({ sentBytes, totalBytes }: ProvisionProgress): void => {
      if (sentBytes === totalBytes) uploads += 1;
    };
    const contexts = await Promise.all(
      Array.from({ length: 10 }, () => router.exec({ command: box.command(), onProgress })),
    );
    for (const context of contexts) assert.equal(await context.call(remote.add, 1, 1), 2);
    assert.equal(uploads, 1);
    assert.deepEqual(kept(join(box.root, "root/.cache/mitogen")).parts, []);
  });

  it("gets it through a hop, which carries it once for many, and passes it on", async () => {
    const box = machine();
    for (let i = 0; i < 6; i++) mkdirSync(join(box.root, `home/h${i}`));
    await using router = new Router(undefined, { runtimes });
    const hop = await router.local({ name: "hop", provision: "cache" });
    let told = 0;
    const inside = await Promise.all(
      Array.from({ length: 5 }, (_, i) =>
        router.exec({
          via: hop,
          command: box.command({ home: `/home/h${i}` }),
          onProgress: () => void told++,
        }),
      ),
    );
    for (const context of inside) assert.equal(await context.call(remote.add, 1, 1), 2);
    assert.ok(told > 0);
    const [packed] = readdirSync(join(parent, "cache/mitogen/runtimes")).filter((name) =>
      name.endsWith(".gz"),
    );
    const { size } = statSync(join(parent, "cache/mitogen/runtimes", packed as string));
    const { bytesSent } = router.getStats();
    assert.ok(bytesSent < 1.2 * size, `${bytesSent} bytes for a pack of ${size}`);
    // The next one is behind a context that has been brought its own node.
    const nested = await router.exec({
      via: inside[0] as Context,
      command: ["/bin/busybox", "env", "-i", "PATH=/bin", "HOME=/home/h5"],
    });
    assert.match(await nested.call(fs.readlinkSync, "/proc/self/exe"), /^\/home\/h5\//);
    assert.ok(router.getStats().bytesSent < 1.3 * size);
  });

  it("gets none without being asked for, and the error names the option", async () => {
    const box = machine();
    await using router = new Router();
    const hop = await router.local();
    for (const via of [undefined, hop]) {
      const error = await failureOf(router, { command: box.command(), via });
      assert.equal(error.code, "ERR_NO_NODE");
      assert.match(error.message, /provision: "cache"/);
    }
    const denied = new Router(undefined, { provision: "cache" });
    const error = await failureOf(denied, { command: box.command(), provision: false });
    assert.equal(error.code, "ERR_NO_NODE");
    await denied.shutdown();
  });

  it("needs no gzip, no sha256sum", async () => {
    const box = machine({ without: ["gzip", "gunzip", "zcat", "sha256sum", "openssl"] });
    await using router = new Router(undefined, { provision: "cache", runtimes });
    const context = await router.exec({ command: box.command() });
    assert.equal(await context.call(remote.add, 2, 3), 5);
  });

  it("is given another node if its own is of no use", async () => {
    const scripts = {
      "too old": 'echo "$0: bad option: --input-type=commonjs" >&2; exit 9',
      "of another machine": "exec /etc/passwd",
      "not to be run": "exit 126",
    };
    await using router = new Router(undefined, { provision: "cache", runtimes });
    for (const [what, script] of Object.entries(scripts)) {
      const box = machine({ scripts: { node: `echo >>/root/tried; ${script}` } });
      for (let i = 0; i < 2; i++) {
        const context = await router.exec({ command: box.command() });
        assert.match(await context.call(fs.readlinkSync, "/proc/self/exe"), /\/\.cache\/mitogen\//, what);
      }
      // The second connect does not try it again.
      assert.equal(statSync(join(box.root, "root/tried")).size, 1, what);
    }
  });

  for (const mask of ["000", "077", "022"]) {
    it(`keeps the umask ${mask} of its login`, async () => {
      const box = machine();
      await using router = new Router(undefined, { provision: "cache", runtimes });
      const command = box.command({ prepare: `umask ${mask}` });
      for (let i = 0; i < 2; i++) {
        const context = await router.exec({ command });
        assert.equal(await context.call(process.umask), Number.parseInt(mask, 8));
      }
      const folder = join(box.root, "root/.cache/mitogen");
      for (const name of readdirSync(folder, { recursive: true, encoding: "utf8" })) {
        assert.equal(statSync(join(folder, name)).mode & 0o077, 0, name);
      }
    });
  }
});

describe("the folder for a node", { skip }, () => {
  it("is $XDG_CACHE_HOME/mitogen if that is the user's", async () => {
    const box = machine();
    mkdirSync(join(box.root, "mnt/cache"));
    await using router = new Router(undefined, { provision: "cache", runtimes });
    await router.exec({ command: box.command({ env: { XDG_CACHE_HOME: "/mnt/cache" } }) });
    assert.equal(kept(join(box.root, "mnt/cache/mitogen")).copies.length, 1);
    // The others were only tried.
    for (const each of ["root/.cache/mitogen", "var/tmp/mitogen-0", "tmp/mitogen-0"]) {
      assert.equal(existsSync(join(box.root, each)), false, each);
    }
  });

  it("is not in a home that is another's, nor one that others may write to", async () => {
    const box = machine();
    mkdirSync(join(box.root, "home/other"));
    chownSync(join(box.root, "home/other"), 1234, 1234);
    // Somebody was there before.
    mkdirSync(join(box.root, "var/tmp/mitogen-0"), { mode: 0o777 });
    chmodSync(join(box.root, "var/tmp/mitogen-0"), 0o777);
    await using router = new Router(undefined, { provision: "cache", runtimes });
    await router.exec({ command: box.command({ home: "/home/other" }) });
    assert.equal(existsSync(join(box.root, "home/other/.cache")), false);
    assert.deepEqual(readdirSync(join(box.root, "var/tmp/mitogen-0")), []);
    assert.equal(kept(join(box.root, "tmp/mitogen-0")).copies.length, 1);
  });

  it("is no link, even one to a folder of the user's", async () => {
    const box = machine();
    mkdirSync(join(box.root, "root/elsewhere"));
    mkdirSync(join(box.root, "root/.cache"));
    symlinkSync("/root/elsewhere", join(box.root, "root/.cache/mitogen"));
    await using router = new Router(undefined, { provision: "cache", runtimes });
    await router.exec({ command: box.command() });
    assert.deepEqual(readdirSync(join(box.root, "root/elsewhere")), []);
    assert.equal(kept(join(box.root, "var/tmp/mitogen-0")).copies.length, 1);
  });

  it("is an ordinary user's own in /var/tmp if there is no home", async () => {
    const box = machine();
    await using router = new Router(undefined, { provision: "cache", runtimes });
    const context = await router.exec({ command: box.command({ uid: 1000, home: "/nonexistent" }) });
    assert.match(await context.call(fs.readlinkSync, "/proc/self/exe"), /^\/var\/tmp\/mitogen-1000\//);
  });

  it("is one that has room, and lets programs be run", async () => {
    const box = machine();
    await using router = new Router(undefined, { provision: "cache", runtimes });
    const prepare =
      'mount -t tmpfs -o noexec none "$R/root" && mount -t tmpfs -o size=4m,mode=1777 none "$R/var/tmp"';
    const context = await router.exec({ command: box.command({ prepare }) });
    assert.match(await context.call(fs.readlinkSync, "/proc/self/exe"), /^\/tmp\/mitogen-0\//);
  });

  it("loses copies that nobody has used for a month, and parts of those that were killed", async () => {
    const box = machine();
    const folder = join(box.root, "root/.cache/mitogen");
    const old = join(folder, "a".repeat(64));
    const recent = join(folder, "b".repeat(64));
    for (const each of [old, recent]) {
      mkdirSync(each, { recursive: true, mode: 0o700 });
      writeFileSync(join(each, "node"), "");
    }
    chmodSync(folder, 0o700);
    const month = Date.now() / 1000 - 40 * 24 * 3600;
    utimesSync(join(old, "node"), month, month);
    const host = childProcess.execFileSync("uname", ["-n"], { encoding: "utf8" }).trim();
    writeFileSync(join(recent, `node.${host}.999999999.part`), "");
    writeFileSync(join(recent, `node.${host}.1.part`), "");
    await using router = new Router(undefined, { provision: "cache", runtimes });
    await router.exec({ command: box.command() });
    assert.deepEqual([existsSync(old), existsSync(recent)], [false, true]);
    // The process with that number lives.
    assert.deepEqual(kept(folder).parts, [`${"b".repeat(64)}/node.${host}.1.part`]);
  });
});

describe("a node that cannot be brought", { skip }, () => {
  const everywhere = (options: string): string =>
    ["root", "var/tmp", "tmp"].map((each) => `mount -t tmpfs -o ${options} none "$R/${each}"`).join(" && ");
  const cases: [what: string, prepare: string, code: string, message: RegExp][] = [
    [
      "because nothing may be run",
      everywhere("noexec,mode=1777"),
      "ERR_PROVISION",
      /nothing may be run there.*memory/,
    ],
    ["because nothing can be written", everywhere("ro"), "ERR_PROVISION", /Read-only file system/],
    ["because there is no room", everywhere("size=4m,mode=1777"), "ERR_NO_SPACE", /only \d MiB free/],
  ];
  for (const [what, prepare, code, message] of cases) {
    it(`says so, ${what}`, async () => {
      const box = machine();
      await using router = new Router(undefined, { provision: "cache", runtimes });
      const hop = await router.local();
      for (const via of [undefined, hop]) {
        const error = await failureOf(router, { command: box.command({ prepare }), via });
        assert.equal(error.code, code, error.message);
        assert.equal(error.details?.stage, "provision");
        assert.match(error.message, message);
      }
    });
  }

  /** This machine with a few of its commands, and others in the place of some, at /mnt; `more` are mounts. */
  const bare = (scripts: Readonly<Record<string, string>>, more = ":"): string[] => {
    const folder = mkdtempSync(join(parent, "bare-"));
    const names =
      "sh head gzip tail ls id uname mkdir chmod rm rmdir mv find sha256sum dd printf touch df setsid";
    for (const name of names.split(" ")) {
      const path = ["/usr/bin", "/bin"].map((each) => join(each, name)).find((each) => existsSync(each));
      if (path !== undefined && !(name in scripts)) symlinkSync(path, join(folder, name));
    }
    for (const [name, text] of Object.entries(scripts)) {
      writeFileSync(join(folder, name), `#!/bin/sh\n${text}\n`, { mode: 0o755 });
    }
    const enter = `mount --bind "${folder}" /mnt && ${more} && exec "$@"`;
    return ["unshare", "-m", "sh", "-c", enter, "sh", "/usr/bin/env", "-i", "PATH=/mnt", "HOME=/srv"];
  };

  it("says so, because the disk is full though it did not seem so", async () => {
    const full = ["srv", "var/tmp", "tmp"].map((each) => `mount -t tmpfs -o size=4m,mode=1777 none /${each}`);
    const command = bare({ df: "echo; echo none 1 1 999999999 1" }, full.join(" && "));
    await using router = new Router(undefined, { provision: "cache", runtimes });
    const error = await failureOf(router, { command });
    assert.equal(error.code, "ERR_NO_SPACE", error.message);
    assert.match(error.message, /there is no room for node in \/srv\/.cache\/mitogen.*No space left/);
  });

  it("says so, because there is none for that architecture", async () => {
    const command = bare({ uname: "[ $1 = -n ] && echo there || echo Linux aarch64" });
    await using router = new Router(undefined, { provision: "cache" });
    const hop = await router.local();
    for (const via of [undefined, hop]) {
      const error = await failureOf(router, { command, via });
      assert.equal(error.code, "ERR_NO_RUNTIME");
      assert.match(error.message, /linux-arm64.*addRuntime\("linux-arm64@22"\)/);
      assert.equal(error.details?.arch, "arm64");
      assert.equal(error.details?.stage, "provision");
    }
  });

  it("says so, because it does not run there, or policy forbids it", async () => {
    const broken = join(parent, "broken");
    const bytes = fs.readFileSync(nodes[12] ?? process.execPath);
    // What it was linked with is no longer said.
    writeFileSync(broken, bytes.fill(0, 4096, 1 << 20), { mode: 0o755 });
    const box = machine();
    await using router = new Router(undefined, { provision: "cache", runtimes: { "linux-x64": broken } });
    const error = await failureOf(router, { command: box.command() });
    assert.equal(error.code, "ERR_NO_RUNTIME", error.message);
    assert.match(error.message, /does not run on the target/);
    assert.deepEqual(kept(join(box.root, "root/.cache/mitogen")), { copies: [], parts: [] });
  });
});

describe("behind a context that was brought its node", { skip: skip || skipReason() }, () => {
  it("another user, and a container, get theirs by the same way", async () => {
    const home = mkdtempSync(join(parent, "home-"));
    const folder = mkdtempSync(join(parent, "path-"));
    for (const name of [
      "sh",
      "id",
      "uname",
      "ls",
      "mkdir",
      "rm",
      "mv",
      "chmod",
      "head",
      "gzip",
      "tail",
      "df",
      "setsid",
    ]) {
      symlinkSync(join("/bin", name), join(folder, name));
    }
    for (const name of ["sudo", "sha256sum", "find", "dd", "printf"])
      symlinkSync(join("/usr/bin", name), join(folder, name));
    const box = machine();
    const { path } = part("docker");
    const image = "mitogen-nodeless-behind";
    childProcess.execFileSync("sh", [
      "-c",
      `tar -C "$1" --exclude=./proc --exclude=./dev -c . | "$2" import - ${image}`,
      "sh",
      box.root,
      path,
    ]);
    try {
      await using router = new Router(undefined, { runtimes });
      const command = ["env", "-i", `PATH=${folder}`, `HOME=${home}`];
      const base = await router.exec({ command, provision: "cache" });
      assert.match(await base.call(fs.readlinkSync, "/proc/self/exe"), /\.cache\/mitogen\//);
      const { target } = part("become");
      const user = await router.sudo({ via: base, username: target });
      assert.equal((await user.call(os.userInfo)).username, target);
      const exe = await user.call(fs.readlinkSync, "/proc/self/exe");
      assert.match(exe, new RegExp(`^/home/${target}/.cache/mitogen/|^/(var/)?tmp/mitogen-`));
      const container = await router.docker({ via: base, dockerPath: path, image });
      assert.equal(await container.call(remote.add, 2, 3), 5);
      const inside = await router.local({ via: container });
      assert.equal(await inside.call(remote.add, 3, 4), 7);
    } finally {
      childProcess.execFileSync(path, ["rmi", "-f", image]);
      rmSync(`/home/${part("become").target}/.cache/mitogen`, { recursive: true, force: true });
    }
  });
});

describe("a target that lies", { skip }, () => {
  const HEARD = 'until read -r a b && [ "$a" = "$4" ]; do :; done';
  const USABLE = 'echo "$4:P i 2"; echo "$4:P p /x"; echo "$4:P t head gzip"; echo "$4:P ."';
  /** Gets the nonce as $4. Lies once it has been sent a line. */
  const liar = (script: string): string[] => [
    "sh",
    "-c",
    `echo "$4:N Linux x86_64"; ${HEARD}; ${script}`,
    "sh",
  ];
  const lies: [what: string, script: string, code: string | undefined][] = [
    [
      "takes all and says that the sum is wrong",
      `${USABLE}; ${HEARD}; head -c 300000 >/dev/null; echo "$4:P e sum"; cat >/dev/null`,
      "ERR_PROVISION",
    ],
    ["says that it has one, and has none", 'echo "$4:P r /x/node"; exec cat >/dev/null', undefined],
    [
      "says that it has taken one, and has none",
      `${USABLE}; ${HEARD}; echo "$4:P r /x/node"; exit 3`,
      "ERR_PROVISION",
    ],
    ["says nothing that is known", 'while echo "$4:P x $4"; do :; done', undefined],
    ["ends early", `${USABLE}; exec head -c 1000000 >/dev/null`, "ERR_PROVISION"],
    [
      "names folders without end",
      'i=0; while [ $i -lt 1000 ]; do echo "$4:P i $i"; printf "%s:P x \\033[2J\\n" $4; i=$((i+1)); done; cat >/dev/null',
      undefined,
    ],
  ];
  for (const [what, script, code] of lies) {
    it(`fails its connect alone: it ${what}`, async () => {
      await using router = new Router(undefined, { provision: "cache", runtimes });
      const options = { command: liar(script), timeoutMs: code === undefined ? 3000 : 30_000 };
      await assert.rejects(router.exec(options), (error: StreamError) => {
        if (code === undefined) assert.match(error.code, /ERR_TIMEOUT|ERR_PROVISION/, error.message);
        else assert.equal(error.code, code, error.message);
        assert.doesNotMatch(error.message, /\x1b/);
        return true;
      });
      const local = await router.local();
      assert.equal(await local.call(remote.add, 1, 2), 3);
    });
  }
});

describe("another shell than busybox's", { skip: skip || skipReason() }, () => {
  for (const shell of ["dash", "bash", "zsh", "ksh", "mksh"]) {
    it(`takes a node too: ${shell} in place of sh`, async (t) => {
      const path = ["/bin", "/usr/bin"].map((each) => join(each, shell)).find((each) => existsSync(each));
      if (path === undefined) {
        t.skip(`there is no ${shell}`);
        return;
      }
      const folder = mkdtempSync(join(parent, "path-"));
      for (const name of readdirSync("/bin")) {
        if (!/^node|^sh$/.test(name)) symlinkSync(join("/bin", name), join(folder, name));
      }
      symlinkSync(path, join(folder, "sh"));
      const home = mkdtempSync(join(parent, "home of a shell "));
      const command = ["env", "-i", `PATH=${folder}`, `HOME=${home}`];
      await using router = new Router(undefined, { provision: "cache", runtimes });
      for (let i = 0; i < 2; i++) {
        const context = await router.exec({ command });
        assert.equal(await context.call(remote.add, 2, 3), 5);
        assert.ok((await context.call(fs.readlinkSync, "/proc/self/exe")).startsWith(home));
      }
      const { copies, parts } = kept(join(home, ".cache/mitogen"));
      assert.deepEqual([copies.length, parts], [1, []]);
    });
  }

  for (const name of ["dash", "bash", "zsh", "fish", "tcsh", "rbash"]) {
    it(`may be that of the login: ${name}`, async () => {
      const account = `mitogen-${name}`;
      try {
        await using router = new Router(undefined, { provision: "cache", runtimes });
        // Its own node is not to be found.
        const context = await router.ssh(sshTo(account, { nodePath: "/nonexistent/node" }));
        assert.match(await context.call(fs.readlinkSync, "/proc/self/exe"), /\/\.cache\/mitogen\//);
        assert.equal(await context.call(remote.add, 2, 3), 5);
      } finally {
        rmSync(`/home/${account}/.cache/mitogen`, { recursive: true, force: true });
      }
    });
  }
});

it("a machine with musl gets the runtime for musl, if there is one", {
  skip: skip || skipReason(),
}, async () => {
  const box = machine();
  mkdirSync(join(box.root, "lib"));
  writeFileSync(join(box.root, "lib/ld-musl-x86_64.so.1"), "");
  // No build for musl, but another one that runs there.
  const musl = { "linux-x64": nodes[12] as string, "linux-x64-musl": nodes[14] as string };
  await using router = new Router(undefined, { provision: "cache", runtimes: musl });
  const context = await router.exec({ command: box.command() });
  const exe = await context.call(fs.readlinkSync, "/proc/self/exe");
  assert.match(String(await context.call(childProcess.execFileSync, exe, ["-v"])), /^v14\./);
});

it("a context that asks for what makes no sense gets no answer, and harms nobody", async () => {
  await using router = new Router();
  const [hostile, other] = await Promise.all([router.local(), router.local()]);
  assert.equal(await hostile.call(runtimeRequests.mode), false);
  const told = await hostile.call(runtimeRequests.nonsense);
  assert.deepEqual(
    told.filter((each) => each !== "dead"),
    [],
  );
  assert.ok((await hostile.call(runtimeRequests.flood, 500)) <= 500);
  assert.equal(await other.call(remote.add, 2, 3), 5);
  // By way of a hop as well.
  const below = await router.local({ via: hostile });
  const asked = await below.call(runtimeRequests.nonsense, hostile.contextId);
  assert.deepEqual(
    asked.filter((each) => each !== "dead"),
    [],
  );
});

describe("programs side by side", { skip }, () => {
  const program = join(repoRoot, "build/tests/fixtures/provision-program.js");
  /** What it has printed, or the signal it has ended by. */
  const run = (box: NodelessMachine, killAt: number): Promise<string> =>
    new Promise((resolve) => {
      const args = [program, JSON.stringify(box.command()), JSON.stringify(runtimes), String(killAt)];
      childProcess.execFile(process.execPath, args, (error, stdout) => resolve(error?.signal ?? stdout));
    });

  it("end with one good copy, 20 at once", async () => {
    const box = machine();
    const said = await Promise.all(Array.from({ length: 20 }, () => run(box, 2)));
    assert.deepEqual(said, Array(20).fill("5\n"));
    const { copies, parts } = kept(join(box.root, "root/.cache/mitogen"));
    assert.deepEqual([copies.length, parts], [1, []]);
  });

  it("leave nothing when they are killed at any point, once another has come", async () => {
    const box = machine();
    const folder = join(box.root, "root/.cache/mitogen");
    for (let point = 0; point < 10; point++) {
      assert.equal(await run(box, point / 10), "SIGKILL");
      assert.deepEqual(kept(folder).copies, [], `point ${point}`);
    }
    assert.equal(await run(box, 2), "5\n");
    assert.deepEqual(kept(folder).parts, []);
  });
});

it("a further connect takes one round trip more than to a machine with node", { skip }, async () => {
  const box = machine();
  await using router = new Router(undefined, { provision: "cache", runtimes });
  await router.exec({ command: box.command() });
  const delayMs = 1000;
  const proxy = join(repoRoot, "tests/support/delay-proxy.mjs");
  const command = [process.execPath, proxy, "--delay-ms", String(delayMs), "--", ...box.command()];
  const started = Date.now();
  await router.exec({ command });
  const trips = Math.floor((Date.now() - started) / (2 * delayMs));
  assert.ok(trips <= 2, `${trips} round trips`);
});

describe("an upload that is cut off", { skip }, () => {
  it("leaves nothing that the next one does not remove, wherever it ends", async () => {
    const box = machine();
    const folder = join(box.root, "root/.cache/mitogen");
    await using router = new Router(undefined, { provision: "cache", runtimes });
    for (let point = 0; point < 10; point++) {
      const connecting = router.exec({
        command: box.command(),
        onProgress({ sentBytes, totalBytes }) {
          if (sentBytes < (totalBytes * point) / 10) return;
          // The shell, and what it has started.
          for (const pid of readdirSync("/proc").filter((name) => /^\d+$/.test(name))) {
            try {
              if (fs.readlinkSync(`/proc/${pid}/root`) === box.root) process.kill(Number(pid), "SIGKILL");
            } catch {
              // It has gone, or is the kernel's.
            }
          }
        },
      });
      await assert.rejects(connecting, (error: StreamError) => {
        assert.equal(error.code, "ERR_PROVISION", error.message);
        return true;
      });
      assert.deepEqual(kept(folder).copies, [], `point ${point}`);
    }
    const context = await router.exec({ command: box.command() });
    assert.equal(await context.call(remote.add, 1, 2), 3);
    const { copies, parts } = kept(folder);
    assert.deepEqual([copies.length, parts], [1, []]);
  });
});

describe('provision: "memory"', { skip }, () => {
  const tools = ["sh", "uname", "id", "setsid"];
  const pathWith = (...names: string[]): string => {
    const folder = mkdtempSync(join(parent, "path-"));
    for (const name of [...tools, ...names]) {
      const path = ["/usr/bin", "/bin"].map((each) => join(each, name)).find((each) => existsSync(each));
      if (path !== undefined) symlinkSync(path, join(folder, name));
    }
    return folder;
  };
  /** On this machine, where nothing at all can be written. */
  const readOnly = (path: string): string[] => [
    ...["unshare", "-m", "sh", "-c"],
    'mount -o bind / /mnt && mount -o remount,bind,ro /mnt && mount -t proc proc /mnt/proc && mount --rbind /dev /mnt/dev && mount -t tmpfs -o ro none /mnt/dev/shm && exec chroot /mnt "$@"',
    ...["sh", "/usr/bin/env", "-i", `PATH=${path}`],
  ];
  for (const names of [["perl", "gzip"], ["python3"]]) {
    it(`makes no file, with ${names.join(" and ")}`, {
      skip: existsSync(join("/usr/bin", names[0] as string)) ? false : `needs ${names[0]}`,
    }, async () => {
      await using router = new Router(undefined, { provision: "memory", runtimes });
      const context = await router.exec({ command: readOnly(pathWith(...names)) });
      assert.equal(await context.call(remote.add, 2, 3), 5);
      await assert.rejects(context.call(fs.writeFileSync, "/tmp/x", ""), { code: "EROFS" });
      assert.match(await context.call(fs.readlinkSync, "/proc/self/exe"), /^\/memfd:/);
      const below = await router.local({ via: context });
      assert.equal(await below.call(remote.add, 4, 5), 9);
    });
  }

  it("says what it needs", async () => {
    await using router = new Router(undefined, { provision: "memory", runtimes });
    const error = await failureOf(router, { command: readOnly(pathWith()) });
    assert.equal(error.code, "ERR_PROVISION");
    assert.match(error.message, /neither python3, nor perl/);
  });
});

it("costs nothing where there is a node", async () => {
  const sent = async (provision: false | "cache"): Promise<number> => {
    await using router = new Router(undefined, { provision });
    const context = await router.local({ name: "same", remoteName: "same" });
    await context.call(process.cwd);
    return router.getStats().bytesSent;
  };
  assert.equal(await sent("cache"), await sent(false));
});
