import assert from "node:assert/strict";
import { test } from "node:test";
import type { RuntimeInfo } from "../../../src/index.ts";
import { isQuick } from "../../support/extent.ts";
import { checkLeaks } from "../../support/leak-check.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";
import { mitogenHere } from "../run-cli.ts";

checkLeaks();

const NODE_LINE = /^([0-9a-f]{12}) {2}linux-\w+ +v\d+\.\d+\.\d+ +\d+\.\d MiB {2}glibc.*, added\n$/;
/** An executable that serves as well as a node here, and is a thousandth of its size; without version and libraries. */
const SMALL = "/bin/sh";
const SMALL_LINE = /^([0-9a-f]{12}) {2}linux-\w+ +\? +\d+\.\d MiB {2}\w+, added\n$/;

test("mitogen runtime adds, lists and clears runtimes", { timeout: 300_000 }, async (t) => {
  const env = { XDG_CACHE_HOME: temporaryFolder(t) };
  const runtime = (...words: string[]): ReturnType<typeof mitogenHere> =>
    mitogenHere(["runtime", ...words], { env });
  const none = await runtime("list");
  assert.deepEqual([none.code, none.stdout, none.stderr], [0, "", "No runtimes yet.\n"]);
  assert.equal((await runtime("list", "--json")).stdout, "[]\n");

  const added = await runtime("add", isQuick ? SMALL : process.execPath);
  assert.equal(added.code, 0, added.stderr);
  const line = (isQuick ? SMALL_LINE : NODE_LINE).exec(added.stdout);
  assert.ok(line !== null, added.stdout);
  assert.equal((await runtime("list")).stdout, added.stdout);
  const [info] = JSON.parse((await runtime("list", "--json")).stdout) as RuntimeInfo[];
  assert.ok(info?.hash.startsWith(line[1] as string));
  assert.equal(info?.version, isQuick ? "" : process.version);
  assert.deepEqual([info?.platform, info?.arch, info?.hasLibraries], ["linux", process.arch, !isQuick]);

  const unknown = await runtime("clear", "ffff");
  assert.deepEqual(
    [unknown.code, unknown.stderr.split("\n")[0]],
    [2, 'mitogen: There is no runtime "ffff"; see mitogen runtime list'],
  );
  assert.equal((await runtime("clear", line[1] as string)).stdout, "1 removed\n");
  assert.equal((await runtime("clear", "--json")).stdout, '{"removed":0}\n');
});

test("mitogen runtime explains usage errors", async (t) => {
  const env = { XDG_CACHE_HOME: temporaryFolder(t) };
  const cases: [string[], RegExp][] = [
    [[], /runtime needs one of: list, add SOURCE, clear/],
    [["remove"], /runtime has no "remove"; it has list, add and clear/],
    [["add"], /Which runtime\? Write a system such as linux-arm64@22, or a path/],
    [["add", "/nowhere"], /Cannot add the runtime \/nowhere: /],
    [["list", "x"], /runtime needs one of/],
  ];
  for (const [words, message] of cases) {
    const { code, stdout, stderr } = await mitogenHere(["runtime", ...words], { env });
    assert.deepEqual([code, stdout], [2, ""], words.join(" "));
    assert.match(stderr, message);
  }
});
