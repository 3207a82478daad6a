/** Real rsync, scp, sftp and git through contexts of every kind, even of other accounts and in containers. */
import assert from "node:assert/strict";
import { cpSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { type Context, Router } from "../../src/index.ts";
import { contents, makeFolder } from "../fixtures/remote/trees.ts";
import { targetsOf } from "../support/extent.ts";
import { assertSame, needs } from "../support/file-trees.ts";
import { nodes, skipReason } from "../support/lab.ts";
import { labMethods } from "../support/lab-methods.ts";
import { checkLeaks } from "../support/leak-check.ts";
import { filesOfGit, folder, fresh, git, run, succeed, tree } from "../support/run-tool.ts";

checkLeaks({ ignoreCommand: /esbuild/ });

const places: [string, (router: Router) => Promise<Context>][] = [
  ["a context on Node 12", (router) => router.local({ nodePath: nodes[12] as string })],
  ["a context on Node 26", (router) => router.local({ nodePath: nodes[26] as string })],
  ["a context behind another", async (router) => router.local({ via: await router.local() })],
  ["a thread", (router) => router.thread()],
  ...Object.entries(labMethods).filter(([name]) =>
    ["ssh → sudo with a password", "docker", "ssh → ssh (bastion) → sudo → docker"].includes(name),
  ),
];

for (const [place, connect] of targetsOf(places)) {
  describe(`runSsh with ${place}`, { skip: skipReason(), concurrency: false }, () => {
    let router: Router;
    let context: Context;
    let there: string;
    before(async () => {
      router = new Router();
      context = await connect(router);
      there = await context.call(makeFolder);
    });
    after(async () => {
      await succeed(context, ["ssh", "any", `rm -rf ${there}`]);
      await router.shutdown();
    });

    it("passes bytes both ways, with the exit status", async () => {
      const script = `head -c 5000000 /dev/urandom > ${folder}/sent
ssh any cat < ${folder}/sent > ${folder}/received; echo "code $?"
cmp ${folder}/sent ${folder}/received && ssh any 'echo $0 >&2; exit 5' < /dev/null`;
      const { code, stdout, stderr } = await run(context, ["sh", "-c", script]);
      assert.deepEqual({ code, stdout, stderr }, { code: 5, stdout: "code 0\n", stderr: "/bin/sh\n" });
    });

    it("ends a command when its tool is killed", async () => {
      const file = join(fresh("pid"), "pid");
      const script = `ssh any 'trap "" HUP; echo $$; sleep 1000; true' < /dev/null > ${file} &
while ! [ -s ${file} ]; do sleep 0.1; done; cat ${file}; kill -9 $$`;
      const { stdout, signal } = await run(context, ["sh", "-c", script]);
      assert.equal(signal, "SIGKILL");
      const gone = `for i in 1 2 3 4 5 6 7 8 9 10; do kill -0 ${stdout.trim()} 2>&- || exit 0; sleep 1; done; exit 1`;
      await succeed(context, ["ssh", "any", gone]);
    });

    it("rsync -a copies a tree there and back", { skip: needs("rsync") }, async () => {
      await succeed(context, ["rsync", "-a", `${tree}/`, `any:${there}/rsync/`]);
      assertSame(await context.call(contents, `${there}/rsync`), contents(tree));
      const back = fresh("rsync");
      await succeed(context, ["rsync", "-a", `any:${there}/rsync/`, `${back}/`]);
      assertSame(contents(back), contents(tree));
    });

    for (const [protocol, flags] of [
      ["sftp", []],
      ["scp", ["-O"]],
    ] as const) {
      it(`scp -r over the protocol ${protocol} copies a tree there and back`, {
        skip: needs("scp"),
      }, async () => {
        const source = fresh("scp-source");
        cpSync(join(tree, "part 1"), source, { recursive: true });
        // Not the whole tree: scp follows links, and fails for those that lead nowhere.
        const target = `${there}/scp-${protocol}`;
        await succeed(context, ["scp", "-q", "-p", "-r", ...flags, source, `any:${target}`]);
        const copied = await context.call(contents, target);
        assert.ok(copied.length > 250, `${copied.length} files`);
        const back = join(fresh("scp"), "back");
        await succeed(context, ["scp", "-q", "-p", "-r", ...flags, `any:${target}`, back]);
        assertSame(contents(back), copied);
        const isNoLink = (line: string): boolean => !line.includes("/link-");
        assertSame(copied.filter(isNoLink), contents(source, false));
      });
    }

    it("sftp -b runs a batch", { skip: needs("sftp") }, async () => {
      const here = fresh("sftp");
      const batch = join(here, "batch");
      const copy = `${there}/every byte`;
      writeFileSync(batch, `put "${tree}/every byte" "${copy}"\nget "${copy}" "${here}/back"\nls ${there}\n`);
      assert.match(await succeed(context, ["sftp", "-b", batch, "any"]), /every byte/);
      assert.deepEqual(readFileSync(join(here, "back")), readFileSync(join(tree, "every byte")));
    });

    it("git pushes, and clones an identical tree", { skip: needs("git") }, async () => {
      const here = fresh("git");
      cpSync(tree, `${here}/work`, { recursive: true, verbatimSymlinks: true });
      git("init", "-q", `${here}/work`);
      git("-C", `${here}/work`, "add", "-A");
      git("-C", `${here}/work`, "commit", "-q", "-m", "all");
      const bare = `${there}/bare.git`;
      await succeed(context, ["ssh", "any", `git init -q --bare --template= -b main ${bare}`]);
      await succeed(context, ["git", "-C", `${here}/work`, "push", "-q", `ssh://any${bare}`, "HEAD:main"]);
      await succeed(context, ["git", "clone", "-q", `any:${bare}`, `${here}/clone`]);
      const withoutEmpty = (lines: string[]): string[] => lines.filter((line) => !/^empty/.test(line));
      assertSame(filesOfGit(`${here}/clone`), withoutEmpty(filesOfGit(`${here}/work`)));
    });
  });
}
