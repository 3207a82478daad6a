/** How commands end in containers, where process ids are not this machine's. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { after, before, describe, it } from "node:test";
import { type Context, type MitogenError, Router, type RunOptions, run } from "../../src/index.ts";
import * as remote from "../fixtures/remote/functions.ts";
import { hostPids } from "../support/container-pids.ts";
import { type LabContainer, lab, skipReason } from "../support/lab.ts";
import { checkLeaks, processesGone } from "../support/leak-check.ts";

checkLeaks({ ignoreCommand: /esbuild/ });

/** Prints the process ids of itself and of a process that it has started, then waits. */
const TREE = "sleep 1000 & echo $$ $!; wait";

interface Started {
  readonly pids: number[];
  readonly failure: Promise<MitogenError>;
}

for (const tool of ["docker", "podman"] as const) {
  const part = lab()?.[tool];
  const skip = skipReason() || (part?.available !== true && `Needs ${tool}`);
  describe(`run() in a container of ${tool}`, { skip, concurrency: false }, () => {
    const { path, container, leaderPid } = part as unknown as LabContainer;
    let router: Router;
    let context: Context;
    before(async () => {
      router = new Router();
      context = await enter();
    });
    after(() => router.shutdown());

    function enter(): Promise<Context> {
      return tool === "docker"
        ? router.docker({ dockerPath: path, container })
        : router.podman({ podmanPath: path, container });
    }

    /** Starts a command that stays. Returns its process ids, as this machine counts them, and its failure. */
    async function startTree(where: Context, options: RunOptions = {}, script = TREE): Promise<Started> {
      let tell: (pids: number[]) => void = () => undefined;
      const told = new Promise<number[]>((resolve) => {
        tell = resolve;
      });
      const onStdout = (text: string): void => tell(text.trim().split(/\s+/).slice(0, 2).map(Number));
      const failure = run(where, script, { shell: true, ...options, encoding: "utf8", onStdout }).then(
        () => assert.fail("It did not fail"),
        (error) => error as MitogenError,
      );
      const pids = await Promise.race([told, failure.then((error) => Promise.reject(error))]);
      return { pids: hostPids(leaderPid, pids), failure };
    }

    it("ends the process tree after timeoutMs, when the signal aborts, and when the loop over its lines is left", async () => {
      const late = await startTree(context, { timeoutMs: 1500 });
      assert.equal((await late.failure).code, "ERR_TIMEOUT");
      assert.deepEqual(await processesGone(late.pids, 10_000), [], "timeoutMs");

      const abort = new AbortController();
      const aborted = await startTree(context, { signal: abort.signal });
      abort.abort(new Error("enough"));
      assert.equal((await aborted.failure).message, "enough");
      assert.deepEqual(await processesGone(aborted.pids, 10_000), [], "signal");

      let left: number[] = [];
      for await (const line of run.lines(context, TREE, { shell: true })) {
        left = hostPids(leaderPid, line.split(" ").map(Number));
        break;
      }
      assert.equal(left.length, 2);
      assert.deepEqual(await processesGone(left, 10_000), [], "a loop that is left");
    });

    it("ends the process tree with its context, however the context ends", async () => {
      for (const end of ["shutdown", "SIGKILL of node", "SIGKILL of the tool"] as const) {
        const own = await enter();
        const [node] = hostPids(leaderPid, [await own.call(remote.pid)]);
        const { pids, failure } = await startTree(own);
        if (end === "shutdown") await own.shutdown();
        else if (end === "SIGKILL of node") process.kill(node as number, "SIGKILL");
        else await router.disconnect(own);
        assert.equal((await failure).code, "ERR_CHANNEL", end);
        assert.deepEqual(await processesGone([...pids, node as number], 15_000), [], end);
      }
    });

    it("ends the process tree of a thread with the thread", async () => {
      const thread = await router.thread({ via: context });
      const { pids, failure } = await startTree(thread);
      await thread.shutdown();
      assert.equal((await failure).code, "ERR_CHANNEL");
      // Node does not reap what a thread has started. The first process is a zombie until the context ends.
      assert.deepEqual(await processesGone(pids.slice(1), 10_000), []);
    });

    it("ends a background process that goes on printing after timeoutMs", async () => {
      const noisy = "(sleep 0.3; exec yes) & echo $! $!";
      const late = await startTree(context, { timeoutMs: 2500 }, noisy);
      assert.equal((await late.failure).code, "ERR_TIMEOUT");
      assert.deepEqual(await processesGone(late.pids.slice(1), 10_000), [], "timeoutMs");
    });
  });

  describe(`NODE_OPTIONS of a container of ${tool}`, { skip, concurrency: false }, () => {
    const { path, image } = part as unknown as LabContainer & { image: string };
    const name = `mitogen-preload-${randomBytes(4).toString("hex")}`;
    const inside = (...command: string[]): string =>
      execFileSync(path, ["exec", name, ...command], { encoding: "utf8" });
    let options = "";

    /** Starts a container whose processes have these options. It lives until `remove`. */
    function start(nodeOptions: string): void {
      options = nodeOptions;
      execFileSync(
        path,
        ["run", "-d", "--name", name, "-e", `NODE_OPTIONS=${options}`, image, "/sbin/idle"],
        {
          stdio: "ignore",
        },
      );
    }
    function remove(): void {
      execFileSync(path, ["rm", "-f", name], { stdio: "ignore" });
    }
    async function connect(router: Router): Promise<Context> {
      return await (tool === "docker"
        ? router.docker({ dockerPath: path, container: name })
        : router.podman({ podmanPath: path, container: name }));
    }

    it("may preload a module that prints and keeps node alive", async () => {
      start("--require /tmp/preload.cjs");
      try {
        const text = `console.log("Hello"); console.error("there"); process.env.PRELOADED = "yes"; setInterval(() => process.stdout.write("tick"), 5)`;
        inside("sh", "-c", `printf '%s' '${text}' > /tmp/preload.cjs`);
        await using router = new Router();
        const context = await connect(router);
        for (let i = 0; i < 100; i++) assert.equal(await context.call(remote.add, i, 2), i + 2);
        const { stdout } = await run(context, 'echo "$NODE_OPTIONS"', { shell: true });
        assert.equal(stdout, options, "a command has the container's environment");
        const child = await router.local({ via: context });
        assert.equal(await child.call(remote.add, 1, 2), 3);
      } finally {
        remove();
      }
    });

    it("may name a missing module: the error's hint names NODE_OPTIONS", async () => {
      start("--require /nope/x.js");
      try {
        await using router = new Router();
        const error = await connect(router).then(
          () => assert.fail("it connected"),
          (reason) => reason as Error & { details: { hint: string } },
        );
        assert.match(error.message, /Cannot find module '\/nope\/x.js'/);
        assert.match(error.details.hint, /NODE_OPTIONS/);
      } finally {
        remove();
      }
    });
  });
}
