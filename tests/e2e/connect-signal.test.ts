/** The option `signal` gives up a connect at any stage, and leaves nothing of it, here or on the target. */
import assert from "node:assert/strict";
import { getEventListeners, once } from "node:events";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { type AddressInfo, createServer } from "node:net";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { after, describe, it } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import {
  CancelledError,
  type ConnectOptions,
  type Context,
  Router,
  type StreamError,
} from "../../src/index.ts";
import { connectInCall, outcomeInCall } from "../fixtures/remote/connect-with.ts";
import * as remote from "../fixtures/remote/functions.ts";
import { collectLogs } from "../support/collect-logs.ts";
import { lab, nodes, skipReason } from "../support/lab.ts";
import { part } from "../support/lab-methods.ts";
import { checkLeaks, descendants } from "../support/leak-check.ts";
import { NodelessMachine, nodelessSkip } from "../support/nodeless.ts";
import { sshTo } from "../support/ssh-options.ts";

checkLeaks({ ignoreCommand: /esbuild/ });

type Connect = (router: Router, options: ConnectOptions, tool?: (path: string) => string) => Promise<Context>;

let marks = 0;

function newMark(): string {
  return `mitogen-signal-${process.pid}-${++marks}-`;
}

/** A command for `nodePath` that reads its input, as node does, but never greets. Its command line has the mark. */
function stuckNode(): { mark: string; nodePath: string[] } {
  const mark = newMark();
  return { mark, nodePath: ["sh", "-c", `: ${mark}; cat <&3 >/dev/null; :`, "sh"] };
}

/** All processes of the machine, also in logins and containers, whose command line or environment has the mark. */
function carriers(mark: string): string[] {
  const found: string[] = [];
  for (const pid of readdirSync("/proc").filter((name) => /^\d+$/.test(name))) {
    try {
      const [line, environment] = ["cmdline", "environ"].map((name) =>
        readFileSync(`/proc/${pid}/${name}`, "utf8"),
      );
      if (`${line}${environment}`.includes(mark)) found.push(`${pid}: ${line?.slice(0, 200)}`);
    } catch {
      // It has ended.
    }
  }
  return found;
}

/** Polls, because the kernel does not announce processes. */
async function until(isTrue: () => boolean, withinMs = 60_000): Promise<void> {
  for (const deadline = Date.now() + withinMs; !isTrue() && Date.now() < deadline; ) await pause(20);
}

/** Looks repeatedly: a hop may still start a process after the connect was given up here, and end it then. */
async function nothingLeft(mark: string): Promise<void> {
  let found: string[] = [];
  let emptyInARow = 0;
  await until(() => {
    found = carriers(mark);
    emptyInARow = found.length === 0 ? emptyInARow + 1 : 0;
    return emptyInARow === 15;
  });
  assert.deepEqual(found, []);
}

async function cancelled(connecting: Promise<unknown>, reason: unknown): Promise<CancelledError> {
  const error = (await connecting.catch((thrown) => thrown)) as StreamError;
  assert.ok(error instanceof CancelledError, String(error));
  assert.equal(error.code, "ERR_CANCELLED");
  assert.match(error.message, /^Cannot connect with \w+\(\): its signal was aborted/);
  assert.equal(error.summary, error.message.split("\n")[0]);
  assert.equal(error.cause, reason);
  return error;
}

const viaLocal =
  (connect: Connect): Connect =>
  async (router, options, tool) =>
    await connect(router, { ...options, via: await router.local() }, tool);

const plain = (path: string): string => path;
const local: Connect = (router, options, tool) =>
  tool === undefined || tool === plain
    ? router.local(options)
    : router.exec({ command: [tool("env")], ...options });
const ssh: Connect = (router, options, tool = plain) =>
  router.ssh({ ...sshTo("mitogen-bash"), sshPath: tool("ssh"), ...options });
const sudo: Connect = (router, options, tool = plain) =>
  router.sudo({ username: "mitogen-target", sudoPath: tool("sudo"), ...options });
const docker: Connect = (router, options, tool = plain) => {
  const { path, container } = part("docker");
  return router.docker({ dockerPath: tool(path), container, ...options });
};

const ways: Record<string, Connect> = {
  local,
  "local behind a hop": viaLocal(local),
  ssh,
  "ssh behind a hop": viaLocal(ssh),
  sudo,
  "sudo behind ssh": async (router, options, tool) =>
    await sudo(router, { ...options, via: await router.ssh(sshTo("mitogen-sudo-nopw")) }, tool),
  docker,
  "docker behind a hop": viaLocal(docker),
};

const folder = mkdtempSync(join(tmpdir(), "mitogen-signal-"));
chmodSync(folder, 0o755);
after(() => rmSync(folder, { recursive: true, force: true }));

/** su, run as a user who has to give a password. */
function suThatAsks(): string {
  const path = join(folder, "su");
  const setpriv = "setpriv --reuid mitogen-sudo-denied --regid mitogen-sudo-denied --init-groups";
  writeFileSync(path, `#!/bin/sh\nexec ${setpriv} su "$@"\n`, { mode: 0o755 });
  return path;
}

/** The tool behind a script that passes on the first bytes of the payload and withholds the others. */
function slowTool(tool: string): string {
  const path = join(folder, `slow ${basename(tool)}`);
  // 6000 bytes are more than stage 0 and the guard line. cat reads the rest until the input ends, and so ends the
  // tool's input too.
  const text = `#!/bin/sh\n{ head -c 6000; cat >/dev/null; } | ${tool} "$@"\n`;
  writeFileSync(path, text, { mode: 0o755 });
  return path;
}

/** Gives up a connect once one of its processes runs. Nothing of it may be left while its router still lives. */
async function cancelledWhen(
  isIt: (commandLine: string) => boolean,
  mark: string,
  connect: Connect,
  options: ConnectOptions,
  tool: (path: string) => string = plain,
): Promise<void> {
  await using router = new Router();
  const end = new AbortController();
  const reason = new Error("enough");
  // No time limit, because that would also end everything.
  const bounds = { timeoutMs: Number.POSITIVE_INFINITY, signal: end.signal };
  const connecting = connect(router, { ...options, ...bounds }, tool);
  await Promise.race([until(() => carriers(mark).some(isIt)), connecting]);
  end.abort(reason);
  await cancelled(connecting, reason);
  await nothingLeft(mark);
}

describe("the signal of a connect", { skip: skipReason() }, () => {
  for (const [name, connect] of Object.entries(ways)) {
    it(`by ${name} ends it before node starts, and leaves nothing`, async () => {
      const { mark, nodePath } = stuckNode();
      await cancelledWhen((line) => /^\d+: sh\0-c\0: mitogen/.test(line), mark, connect, { nodePath });
    });

    it(`by ${name} ends it while the payload is on its way, and leaves nothing`, async () => {
      const mark = newMark();
      const node = name.startsWith("docker") ? "node" : (lab()?.node as string);
      const options = { nodePath: ["env", `MARK=${mark}`, node] };
      await cancelledWhen((line) => /^\d+: \S*node\0/.test(line), mark, connect, options, slowTool);
    });
  }

  for (const name of ["local", "local behind a hop", "ssh"]) {
    it(`by ${name} ends it at any time, or comes too late`, async () => {
      await using router = new Router();
      const connect = ways[name] as Connect;
      const before = Date.now();
      await (await connect(router, {})).shutdown();
      const wholeMs = Date.now() - before;
      const outcomes = { connected: 0, cancelled: 0 };
      for (let at = 0; at <= 1.2; at += 0.1) {
        const mark = newMark();
        const signal = AbortSignal.timeout(Math.round(at * wholeMs));
        const options = {
          nodePath: ["env", `MARK=${mark}`, lab()?.node as string],
          remoteName: mark,
          signal,
        };
        const context = await connect(router, options).catch(() => undefined);
        if (context === undefined) {
          outcomes.cancelled++;
          assert.equal(signal.aborted, true);
        } else {
          outcomes.connected++;
          assert.equal(await context.call(remote.add, 1, 2), 3);
          await context.shutdown();
        }
        await nothingLeft(mark);
      }
      assert.ok(outcomes.cancelled > 0, JSON.stringify(outcomes));
    });
  }

  it("lets nothing start if it is already aborted", async () => {
    await using router = new Router();
    const hop = await router.local();
    const before = descendants(process.pid);
    const signal = AbortSignal.abort(new Error("never mind"));
    const { mark, nodePath } = stuckNode();
    for (const connect of [local, ssh, sudo, docker]) {
      const connecting = connect(router, { signal, nodePath });
      assert.deepEqual(descendants(process.pid), before);
      await cancelled(connecting, signal.reason);
      await cancelled(connect(router, { signal, nodePath, via: hop }), signal.reason);
      assert.deepEqual([descendants(process.pid), carriers(mark)], [before, []]);
    }
    await cancelled(router.thread({ signal }), signal.reason);
    await cancelled(router.thread({ signal, via: hop }), signal.reason);
    assert.deepEqual([router.getStats().connectCount, router.getStats().contextCount], [1, 1]);
  });

  it("ends the connect while the tool waits for the network", async () => {
    await using router = new Router();
    const end = new AbortController();
    const silent = createServer((socket) => {
      socket.on("error", () => undefined).resume();
      end.abort("too slow");
    });
    await once(silent.listen(0, "127.0.0.1"), "listening");
    const { port } = silent.address() as AddressInfo;
    const { details } = await cancelled(
      router.ssh({ ...sshTo("mitogen-bash"), hostname: "127.0.0.1", port, signal: end.signal }),
      "too slow",
    );
    assert.equal(details?.stage, "transport");
    silent.close();
    await once(silent, "close");
  });

  it("ends the connect during the pause before another try", async () => {
    await using router = new Router();
    const full = createServer((socket) =>
      socket
        .on("error", () => undefined)
        .resume()
        .end("Exceeded MaxStartups\r\n"),
    );
    await once(full.listen(0, "127.0.0.1"), "listening");
    const { port } = full.address() as AddressInfo;
    const end = new AbortController();
    const logs = collectLogs();
    const connecting = router.ssh({
      ...sshTo("mitogen-bash"),
      hostname: "127.0.0.1",
      port,
      signal: end.signal,
    });
    await logs.until(() => logs.records.some(({ message }) => /turned away, trying again/.test(message)));
    logs.stop();
    end.abort("too slow");
    await cancelled(connecting, "too slow");
    full.close();
    await once(full, "close");
  });

  for (const [name, login] of [
    ["here", undefined],
    ["behind a hop", "mitogen-sudo-pw"],
  ] as const) {
    it(`ends the connect at the prompt, ${name}, without waiting for an answer`, async () => {
      await using router = new Router();
      const { mark, nodePath } = stuckNode();
      const via = login === undefined ? undefined : await router.ssh(sshTo(login));
      const end = new AbortController();
      const never = (): Promise<string> => {
        end.abort("too slow");
        return new Promise(() => undefined);
      };
      const options = { via, nodePath, username: "mitogen-target", password: never, signal: end.signal };
      const connecting =
        via === undefined ? router.su({ ...options, suPath: suThatAsks() }) : router.sudo(options);
      await cancelled(connecting, "too slow");
      await nothingLeft(mark);
      if (via !== undefined) assert.equal(await via.call(remote.add, 1, 2), 3);
    });
  }

  it("ends a connect that waits for its turn, and the others go on", async () => {
    await using router = new Router(undefined, { connectConcurrency: 1 });
    const { nodePath } = stuckNode();
    const [first, second] = [new AbortController(), new AbortController()];
    const connecting = [first, second].map(({ signal }) => router.local({ nodePath, signal }));
    const third = router.local();
    second.abort(2);
    await cancelled(connecting[1] as Promise<Context>, 2);
    first.abort(1);
    await cancelled(connecting[0] as Promise<Context>, 1);
    assert.equal(await (await third).call(remote.add, 1, 2), 3);
  });

  it("has no effect on a connected context, and keeps no listener", async () => {
    await using router = new Router();
    const hop = await router.local();
    const end = new AbortController();
    const { signal } = end;
    const contexts = [
      await router.local({ signal }),
      await router.local({ signal, via: hop }),
      await router.thread({ signal }),
      await router.thread({ signal, via: hop }),
    ];
    assert.deepEqual(getEventListeners(signal, "abort"), []);
    end.abort();
    for (const context of contexts) assert.equal(await context.call(remote.add, 1, 2), 3);
    // The description of a context does not list it.
    for (const context of contexts) {
      assert.deepEqual(Object.keys(context.describe().connection?.options ?? {}), []);
    }
  });

  it("of a call ends the connect that the called function has begun", async () => {
    await using router = new Router();
    const hop = await router.local();
    const { mark, nodePath } = stuckNode();
    const end = new AbortController();
    const calling = hop.with({ signal: end.signal }).call(connectInCall, nodePath);
    await Promise.race([until(() => carriers(mark).length > 1), calling]);
    end.abort(new Error("enough"));
    await assert.rejects(calling, /enough/);
    await nothingLeft(mark);
    assert.match(await hop.call(outcomeInCall), /^CancelledError: Cannot connect with local\(\): its signal/);
  });

  it("must be an AbortSignal", async () => {
    await using router = new Router();
    const signal = { aborted: false } as never;
    await assert.rejects(router.local({ signal }), {
      name: "TypeError",
      code: "ERR_INVALID_ARG_TYPE",
      message: /^Cannot connect with local\(\): signal must be an AbortSignal, got /,
    });
  });
});

describe("the signal of a connect that sends a node", { skip: nodelessSkip() || skipReason() }, () => {
  const cacheBefore = process.env.XDG_CACHE_HOME;
  process.env.XDG_CACHE_HOME = join(folder, "cache");
  mkdirSync(process.env.XDG_CACHE_HOME);
  after(() => {
    if (cacheBefore === undefined) delete process.env.XDG_CACHE_HOME;
    else process.env.XDG_CACHE_HOME = cacheBefore;
  });

  for (const [name, isBehind] of [
    ["here", false],
    ["behind a hop", true],
  ] as const) {
    it(`ends the upload, ${name}, and leaves no part of a node`, async () => {
      const box = new NodelessMachine(join(folder, `root ${name}`));
      await using router = new Router(undefined, { runtimes: { "linux-x64": nodes[12] as string } });
      const end = new AbortController();
      const via = isBehind ? await router.local() : undefined;
      const mark = newMark();
      const connecting = router.exec({
        via,
        provision: "cache",
        command: box.command({ env: { MARK: mark } }),
        timeoutMs: 60_000,
        signal: end.signal,
        onProgress: ({ sentBytes, totalBytes }) => {
          if (sentBytes > 0 && sentBytes < totalBytes) end.abort("no need");
        },
      });
      await cancelled(connecting, "no need");
      await nothingLeft(mark);
      const cache = join(box.root, "root/.cache/mitogen");
      const files = existsSync(cache) ? readdirSync(cache, { recursive: true, encoding: "utf8" }) : [];
      assert.deepEqual(
        files.filter((file) => /part|try|node/.test(file)),
        [],
      );
      // The next connect works.
      const context = await router.exec({
        via,
        provision: "cache",
        command: box.command(),
        timeoutMs: 60_000,
      });
      assert.equal(await context.call(remote.add, 1, 2), 3);
    });
  }
});
