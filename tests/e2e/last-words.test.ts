/** What a context prints and logs last reaches the program, however the context ends. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type Context, Router, run } from "../../src/index.ts";
import { sayAll, sayAllAndExit, sayAndExitLater } from "../fixtures/remote/last-words.ts";
import { type CollectedLogs, collectLogs } from "../support/collect-logs.ts";
import { lab, skipReason } from "../support/lab.ts";
import { part } from "../support/lab-methods.ts";
import { checkLeaks } from "../support/leak-check.ts";
import { sshTo } from "../support/ssh-options.ts";

checkLeaks({ ignoreCommand: /esbuild/ });

const COUNT = 3000;

const ways: Record<string, (router: Router) => Promise<Context>> = {
  local: (router) => router.local(),
  "local behind a hop": async (router) => router.local({ via: await router.local() }),
  ssh: (router) => router.ssh(sshTo("mitogen-bash")),
  "sudo behind ssh": async (router) =>
    router.sudo({
      via: await router.ssh(sshTo("mitogen-sudo-nopw")),
      username: "mitogen-target",
      nodePath: lab()?.node,
    }),
  docker: (router) => {
    const { path, container } = part("docker");
    return router.docker({ dockerPath: path, container });
  },
};

function saidBy(logs: CollectedLogs, context: Context, mark: string) {
  const own = (name: string) =>
    logs
      .lines(name, context.name)
      .filter((line) => line.startsWith(`${mark} `))
      .map((line) => line.slice(mark.length + 1));
  return { stdout: own("stdout"), stderr: own("stderr"), log: own("last.words") };
}

const numbers = (kind: string, step: number): string[] =>
  Array.from({ length: COUNT / step }, (_, i) => `${kind} ${i * step}`);

function everything(rest: { readonly stdout?: readonly string[]; readonly stderr?: readonly string[] }) {
  return {
    stdout: [...numbers("out", 1), ...(rest.stdout ?? [])],
    stderr: [...numbers("err", 10), ...(rest.stderr ?? [])],
    log: numbers("log", 100),
  };
}

const subprocess = { stdout: ["sub 1"], stderr: ["sub 2"] };

describe("the last words of a context", { skip: skipReason() }, () => {
  for (const [name, connect] of Object.entries(ways)) {
    it(`by ${name} arrive before shutdown() returns`, async () => {
      const logs = collectLogs("info");
      await using router = new Router();
      const context = await connect(router);
      await context.call(sayAll, COUNT, "called");
      await context.shutdown({ wait: true });
      assert.deepEqual(saidBy(logs, context, "called"), everything(subprocess));
      logs.stop();
    });

    it(`by ${name} arrive when it calls process.exit()`, async () => {
      const logs = collectLogs("info");
      await using router = new Router();
      for (const [fn, rest] of [
        [sayAllAndExit, subprocess],
        [sayAndExitLater, { stdout: ["child"] }],
      ] as const) {
        const context = await connect(router);
        await assert.rejects(context.call(fn, COUNT, fn.name), { code: "ERR_CHANNEL" });
        assert.deepEqual(saidBy(logs, context, fn.name), everything(rest), fn.name);
      }
      logs.stop();
    });

    it(`by ${name}: a command's output arrives before its result`, async () => {
      await using router = new Router();
      const context = await connect(router);
      const lines: string[] = [];
      const script = `i=0; while [ $i -lt ${COUNT} ]; do echo out $i; i=$((i+1)); done; printf last; printf why >&2; exit 4`;
      const { exitCode, stdout, stderr } = await run(context, ["sh", "-c", script], {
        check: false,
        onStdout: (line) => void lines.push(String(line)),
      });
      await context.shutdown();
      assert.deepEqual([exitCode, stderr], [4, "why"]);
      assert.deepEqual(String(stdout).split("\n"), [...numbers("out", 1), "last"]);
      assert.deepEqual(lines.join("").split("\n"), [...numbers("out", 1), "last"]);
    });
  }
});
