import assert from "node:assert/strict";
import { readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { basename, join } from "node:path";
import { describe, it, type TestContext } from "node:test";
import { inspect } from "node:util";
import { type Context, Router, Secret } from "../../src/index.ts";
import { ownPid, spinForProfile } from "../fixtures/remote/busy.ts";
import { add, begin, echo, release } from "../fixtures/remote/functions.ts";
import { startLocal } from "../fixtures/remote/parents.ts";
import { collectLogs } from "../support/collect-logs.ts";
import { takesLong } from "../support/extent.ts";
import { nodes, skipReason } from "../support/lab.ts";
import { password } from "../support/lab-methods.ts";
import { checkLeaks } from "../support/leak-check.ts";
import { sshTo } from "../support/ssh-options.ts";
import { setEnvironment, temporaryFolder } from "../support/temporary-folder.ts";

checkLeaks({ ignoreCommand: /esbuild/ });

// From Node 24 on the test runner has every test file write a report, with the whole environment, on SIGUSR2.
if (process.report !== undefined) process.report.reportOnSignal = false;

const SECRET = "correct-horse-battery";

const connectionOf = (context: Context) => {
  const { connection } = context.describe();
  assert.ok(connection !== undefined);
  return connection;
};

/** Returns the path of the context's debug log. A call first: the path arrives before the answer of any call. */
async function debugLogOf(context: Context): Promise<string> {
  await context.call(add, 1, 1);
  const { debugFile } = connectionOf(context);
  assert.ok(debugFile !== undefined, "it writes a debug log");
  return debugFile;
}

const parentOf = (pid: number): number =>
  Number(/\) . (\d+)/.exec(readFileSync(`/proc/${pid}/stat`, "utf8"))?.[1]);

for (const major of ["12", "20", "26"]) {
  describe(`debugging of contexts on Node ${major}`, { skip: skipReason() }, () => {
    const start = (router: Router, options: { via?: Context; debug?: boolean } = {}): Promise<Context> =>
      router.local({ nodePath: nodes[major], ...options });

    it("enableDebug makes this process and all later contexts write logs without secrets", async (t) => {
      const folder = temporaryFolder(t);
      await using router = new Router();
      const early = await start(router);
      const own = router.enableDebug();
      assert.equal(router.enableDebug(), own, "once");
      const near = await start(router);
      const far = await start(router, { via: near });
      const thread = await router.thread();
      for (const context of [near, far, thread]) {
        const sent = { password: new Secret(SECRET), text: SECRET };
        const value = (await context.call(echo, sent)) as typeof sent;
        assert.equal(value.password.reveal(), SECRET);
        await assert.rejects(context.call(readFileSync, "/nonexistent"));
      }
      const paths = [own, await debugLogOf(near), await debugLogOf(far), await debugLogOf(thread)];
      const pids = [process.pid, connectionOf(near).pid, connectionOf(far).pid, process.pid];
      for (const [index, path] of paths.entries()) {
        assert.match(
          basename(path),
          new RegExp(String.raw`^mitogen\.${pids[index]}\.\d{8}_\d{6}(\.1)?\.log$`),
        );
      }
      const parents = [
        process.ppid,
        ...[near, far].map((context) => parentOf(connectionOf(context).pid)),
        process.pid,
      ];
      await router.shutdown();
      assert.deepEqual(readdirSync(folder).sort(), paths.map((path) => basename(path)).sort());
      assert.equal(connectionOf(early).debugFile, undefined);
      const texts = paths.map((path) => readFileSync(path, "utf8"));
      for (const [index, text] of texts.entries()) {
        assert.ok(text.includes(`\nParent PID: ${parents[index]}\n`), text.slice(0, 200));
        assert.equal(statSync(paths[index] as string).mode & 0o777, 0o600);
        assert.match(text, /^Process \d+, node v\d+.*\nParent PID: \d+\nCreated by:\n {4}at /);
        assert.match(text, /debugging\.test/, "the stack leads to the program");
        assert.match(text, / D mitogen\.io: .*\d+ bytes \d+:\d+ -> \d+:\d+/);
        assert.ok(!text.includes(SECRET));
      }
      for (const text of texts.slice(1)) {
        assert.match(text, / D mitogen\.debug: echo of file:.*functions\.js for context 0: runs\n/);
        assert.match(text, / D mitogen\.debug: echo of .* returned after \d+ ms\n/);
        assert.match(text, / D mitogen\.debug: readFileSync of .* failed with ENOENT after \d+ ms\n/);
      }
      assert.match(texts[0] as string, / D mitogen\.debug: Totals: 3 contexts connected/);
    });

    it("a router that was shut down refuses enableDebug, because nothing would close the file", async (t) => {
      const folder = temporaryFolder(t);
      const router = new Router();
      await router.shutdown();
      assert.throws(() => router.enableDebug(), { name: "CancelledError", message: /has been shut down$/ });
      assert.deepEqual(readdirSync(folder), []);
    });

    it("dump forgets contexts that are gone", async () => {
      await using router = new Router();
      const [near, gone] = [await start(router), await start(router)];
      assert.match(router.dump(), /^contexts: 2$/m);
      assert.ok(router.dump().includes(`'${gone.name}': connected`));
      await gone.shutdown();
      assert.match(router.dump(), /^contexts: 1$/m);
      assert.ok(!router.dump().includes(`'${gone.name}'`));
      assert.ok(router.dump().includes(`'${near.name}': connected`));
    });

    it("debug: true makes one context write a log", async (t) => {
      const folder = temporaryFolder(t);
      await using router = new Router();
      const plain = await start(router);
      const debugged = await start(router, { via: plain, debug: true });
      const path = await debugLogOf(debugged);
      assert.deepEqual(readdirSync(folder), [basename(path)]);
      assert.match(readFileSync(path, "utf8"), / D mitogen\.debug: add of /);
    });

    it("contexts that contexts start write logs too", async (t) => {
      const folder = temporaryFolder(t);
      await using router = new Router();
      const plain = await start(router);
      const debugged = await plain.call(startLocal, { name: "debugged", debug: true });
      await debugged.call(add, 1, 1);
      const [one, ...others] = readdirSync(folder);
      assert.deepEqual(others, []);
      assert.match(
        readFileSync(join(folder, String(one)), "utf8"),
        /\nCreated by:\n(.*\n)* {4}at .*parents\..*\n(.*\n)*.* D mitogen\.debug: add of /,
      );
      router.enableDebug();
      const later = await plain.call(startLocal, { name: "later" });
      await later.call(add, 1, 1);
      assert.equal(readdirSync(folder).length, 3);
      assert.match(
        router.dump(),
        new RegExp(`context ${later.contextId} '${plain.name}\\.later': connected`),
      );
      assert.equal(later.describe().connection, undefined);
      assert.equal(later.describe().link?.peer, plain.name);
    });

    it("describe tells how a context was made and what waits for it", async () => {
      const before = Date.now();
      await using router = new Router();
      const near = await start(router);
      const far = await start(router, { via: near });
      await Promise.all([near.call(add, 1, 1), far.call(add, 1, 1)]);
      const waiting = [near.call(begin, "one"), far.call(begin, "two")];
      for (const [context, hop] of [
        [near, near],
        [far, near],
      ] as const) {
        const description = context.describe();
        const { connection, link, calls } = description;
        assert.equal(description.via, context.via?.name);
        assert.equal(connection?.method, "local");
        assert.deepEqual(connection.options, { nodePath: nodes[major] });
        assert.equal(connection.argv[0], "sh");
        assert.equal(connection.nodeVersion.split(".")[0], major);
        assert.equal(connection.platform, "linux");
        assert.ok(connection.connectedAt.getTime() >= before);
        assert.equal(link?.peer, hop.name);
        assert.ok(link.messagesSent > 0 && link.bytesReceived > 0 && (link.queuedBytes ?? -1) >= 0);
        assert.ok((link.lastHeardAt?.getTime() ?? 0) >= before);
        assert.deepEqual(
          calls.map((call) => call.function),
          ["begin"],
        );
        const text = inspect(description);
        assert.match(text, new RegExp(`^context ${context.contextId} '${context.name}': connected\n`));
        assert.match(text, /\n {4}begin of file:.*functions\.js, for \d+ ms/);
        assert.match(text, new RegExp(`pid ${await context.call(ownPid)}, node ${major}\\.`));
      }
      await Promise.all([near.call(release), far.call(release)]);
      await Promise.all(waiting);
      assert.equal(near.describe().calls.length, 0);
      await near.shutdown();
      assert.match(String(far.describe()), /: gone: /);
      assert.equal(far.describe().link, undefined);
    });

    it("SIGUSR2 makes the program, and a context with a debug log, write diagnostics", async (t) => {
      temporaryFolder(t);
      const logs = collectLogs();
      t.after(() => logs.stop());
      await using router = new Router();
      router.enableDebug();
      const context = await start(router);
      await debugLogOf(context);
      const waiting = context.call(begin, "dump");
      await context.call(add, 1, 1);
      const dumps = (): string[] =>
        logs.records.map(({ message }) => message).filter((text) => text.includes("Diagnostics of context"));
      process.kill(process.pid, "SIGUSR2");
      await logs.until(() => dumps().length === 1);
      process.kill(connectionOf(context).pid, "SIGUSR2");
      await logs.until(() => dumps().length === 2);
      const [own, remote] = dumps() as [string, string];
      assert.match(own, /^Diagnostics of context 0, /);
      assert.match(own, new RegExp(`\nprocess: pid ${process.pid}, `));
      assert.match(own, /\nhandlers: \d+\n/);
      assert.match(own, /\ntotals: 1 contexts connected/);
      assert.match(own, /\n {4}begin of file:/);
      assert.match(remote, new RegExp(`\nprocess: pid ${connectionOf(context).pid}, `));
      assert.match(remote, /\ncalls under way here: 1\n {2}begin of file:.* for context 0/);
      await context.call(release);
      await waiting;
    });

    it("MITOGEN_PROFILING gathers profiles of this process and of all contexts", async (t) => {
      const folder = temporaryFolder(t);
      setEnvironment(t, { MITOGEN_PROFILING: "1" });
      await using router = new Router();
      const near = await start(router);
      const far = await start(router, { via: near });
      const thread = await router.thread({ name: "own/thread" });
      await Promise.all([near, far, thread].map((context) => context.call(spinForProfile, 100)));
      const pids = [near, far].map((context) => connectionOf(context).pid);
      // This also fetches the profiles of contexts behind it.
      await near.shutdown();
      const profiles = join(folder, `mitogen-profiles-${process.pid}`);
      assert.equal(readdirSync(profiles).length, 2);
      await router.shutdown();
      const names = readdirSync(profiles).sort();
      assert.deepEqual(
        names.map((name) => name.replace(/\.\d+\.cpuprofile$/, "")).sort(),
        [
          `${near.name}.${pids[0]}`,
          `${far.name}.${pids[1]}`,
          `master.${process.pid}`,
          `own_thread.${process.pid}`,
        ].sort(),
      );
      for (const name of names) {
        const profile = JSON.parse(readFileSync(join(profiles, name), "utf8")) as Profile;
        assert.ok(profile.endTime > profile.startTime && profile.samples.length > 0);
        const spun = profile.nodes.find(({ callFrame }) => callFrame.functionName === "spinForProfile");
        if (name.startsWith("master")) continue;
        assert.match(spun?.callFrame.url ?? "", /busy\.js$/, name);
      }
    });
  });
}

interface Profile {
  readonly nodes: { readonly callFrame: { readonly functionName: string; readonly url: string } }[];
  readonly samples: number[];
  readonly startTime: number;
  readonly endTime: number;
}

describe("debug logs", { skip: skipReason() }, () => {
  it("hold no password, and belong to the account of the context", async (t) => {
    temporaryFolder(t);
    await using router = new Router();
    const own = router.enableDebug();
    const login = await router.ssh(sshTo("mitogen-sudo-pw"));
    const sudo = await router.sudo({ via: login, username: "mitogen-target", password: password() });
    const paths = [await debugLogOf(login), await debugLogOf(sudo)];
    t.after(() => paths.map((path) => rmSync(path)));
    const uids = await Promise.all(
      [login, sudo].map((context) => context.call(process.getuid as () => number)),
    );
    assert.deepEqual(
      paths.map((path) => statSync(path).uid),
      uids,
    );
    assert.equal(connectionOf(sudo).options.password, "[secret]");
    const shown = [own, ...paths].map((path) => readFileSync(path, "utf8"));
    for (const text of [...shown, router.dump()]) assert.ok(!text.includes(password().reveal()));
    assert.match(shown[0] as string, /Starting sudo /, "the hop's own records are in the log of the program");
  });
});

describe("profiles", () => {
  it("go where MITOGEN_PROFILE_FMT says, and do not wait for hung contexts", async (t) => {
    const folder = temporaryFolder(t);
    setEnvironment(t, {
      MITOGEN_PROFILING: "yes",
      MITOGEN_PROFILE_FMT: `${folder}/%(identity)s/{pid}.{unknown}.{ext}`,
    });
    const logs = collectLogs();
    t.after(() => logs.stop());
    const router = new Router();
    const hung = await router.local({ name: "hung" });
    hung.callNoReply(spinForProfile, 3_600_000);
    const started = Date.now();
    await router.shutdown();
    assert.ok(Date.now() - started < 20_000);
    assert.deepEqual(readdirSync(folder), ["master"]);
    assert.deepEqual(readdirSync(join(folder, "master")), [`${process.pid}.{unknown}.cpuprofile`]);
    assert.ok(logs.records.some(({ message }) => message.startsWith("No profile of hung: ")));
  });

  it("are made of the contexts whose connect says so, near, behind a hop and in a thread", {
    skip: takesLong,
  }, async (t) => {
    const folder = temporaryFolder(t);
    await using router = new Router();
    const logs = collectLogs();
    t.after(() => logs.stop());
    const plain = await router.local();
    await plain.call(startLocal, { name: "below", profiling: true });
    const near = await router.local({ name: "near", profiling: true });
    const far = await router.local({ name: "far", via: plain, profiling: true });
    const thread = await router.thread({ name: "thread", profiling: true });
    await Promise.all([plain, near, far, thread].map((context) => context.call(spinForProfile, 50)));
    const profiles = join(folder, `mitogen-profiles-${process.pid}`);
    const identities = (): string[] =>
      readdirSync(profiles).map((name) => name.replace(/\.\d+\.\d+\.\w+$/, ""));
    await near.shutdown();
    assert.deepEqual(identities(), ["near"]);
    await router.shutdown();
    assert.deepEqual(identities().sort(), [far.name, "near", "thread"].sort());
    const warning = "below is not profiled: only connects of the program have the option profiling";
    assert.ok(
      logs.records.some(({ message }) => message.includes(warning)),
      logs.records.map(({ message }) => message).join("\n"),
    );
  });

  it("are not made without MITOGEN_PROFILING", async (t: TestContext) => {
    const folder = temporaryFolder(t);
    await using router = new Router();
    await (await router.local()).call(add, 1, 1);
    await router.shutdown();
    assert.deepEqual(readdirSync(folder), []);
  });
});
