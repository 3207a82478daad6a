import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import type { Ended } from "../../support/end-of.ts";
import { checkLeaks } from "../../support/leak-check.ts";
import { mitogen, mitogenHere } from "../run-cli.ts";

checkLeaks();

describe("put, get and sync", () => {
  const folder = mkdtempSync(join(tmpdir(), "mitogen-cli-put-"));
  const env = { XDG_STATE_HOME: join(folder, "state"), XDG_RUNTIME_DIR: join(folder, "run") };
  for (const name of ["run", "site", "there"]) mkdirSync(join(folder, name), { mode: 0o700 });
  writeFileSync(join(folder, "motd"), "Hello\n");
  writeFileSync(join(folder, "site/index.html"), "<p>");
  writeFileSync(join(folder, "site/big"), "b".repeat(2 * 1024 * 1024));
  after(() => rmSync(folder, { recursive: true }));
  const run = (...words: string[]): Promise<Ended> => mitogen(words, { cwd: folder, env });
  /** Runs the command line in this process. */
  const runHere = (...words: string[]): Promise<Omit<Ended, "signal">> =>
    mitogenHere(words, { cwd: folder, env });

  it("copy files there and back, on connections of their own and on kept ones", async () => {
    for (const round of ["own", "kept"]) {
      if (round === "kept") await runHere("up", "--on", "local:2");
      const there = `${folder}/there/${round}`;
      const put = await runHere("put", "--on", "local:1", "--mode", "0600", "motd", there);
      assert.deepEqual([put.code, put.stdout], [0, "local1: 1 file, 6 bytes\n"], put.stderr);
      assert.equal(readFileSync(there, "utf8"), "Hello\n");
      assert.equal(statSync(there).mode & 0o777, 0o600);
      const get = await runHere(
        "get",
        "--on",
        "local:2",
        there,
        `${folder}/site/big`,
        `copies-${round}`,
        "--json",
      );
      assert.equal(get.code, 0, get.stderr);
      const { results } = JSON.parse(get.stdout);
      assert.equal(results[1].value[1].bytes, 2 * 1024 * 1024);
      for (const host of ["local1", "local2"]) {
        assert.equal(readFileSync(join(folder, `copies-${round}`, host, round), "utf8"), "Hello\n");
      }
      const sync = await runHere(
        "sync",
        "--on",
        "local:1",
        "site/",
        `${folder}/synced-${round}`,
        "--",
        "--exclude",
        "big",
      );
      assert.equal(sync.code, 0, sync.stderr);
      assert.equal(readFileSync(join(folder, `synced-${round}`, "index.html"), "utf8"), "<p>");
    }
    await runHere("down");
  });

  it("sync to the place where put would copy, and report all that rsync says", async () => {
    const well = await runHere("sync", "--on", "local:1", "site", "there");
    assert.equal(well.code, 0, well.stderr);
    assert.equal(readFileSync(join(folder, "there/site/index.html"), "utf8"), "<p>");
    const home = { cwd: folder, env: { ...env, HOME: join(folder, "there") } };
    const inHome = await mitogenHere(["sync", "--on", "local:1", "site/", "~/home"], home);
    assert.equal(inHome.code, 0, inHome.stderr);
    assert.equal(readFileSync(join(folder, "there/home/index.html"), "utf8"), "<p>");
    const { code, stderr } = await run("sync", "--on", "local:1", "site/", "none/there");
    assert.equal(code, 1);
    assert.match(stderr, /^local1: failed: Cannot sync local1: rsync ended with exit code 11: /);
    assert.match(stderr, /^local1: rsync error: error in file IO/m, "a line of its own");
    // rsync ends its ssh by SIGUSR1.
    assert.doesNotMatch(stderr, /Debugger|inspector/);
  });

  it("fail for a host that lacks the file", async () => {
    const { code, stdout, stderr } = await runHere(
      "get",
      "--on",
      "local:1",
      "/etc/shadow-of-nobody",
      "copies",
    );
    assert.equal(code, 1);
    assert.match(stdout + stderr, /local1: failed: .*shadow-of-nobody/);
  });

  it("say what is wrong with their arguments before anything starts", async () => {
    const cases: [string[], RegExp][] = [
      [["put", "--on", "local:1"], /Which files, and where to\?/],
      [["put", "--on", "local:1", "none", "/x"], /There is no file "none"/],
      [["put", "--on", "local:1", "site", "/x"], /"site" is a folder: .*mitogen sync/],
      [["put", "--on", "local:1", "motd", "site/big", "/x"], /Several files need a folder: write "\/x\/"/],
      [["put", "--on", "local:1", "motd", "there/../motd", "/x/"], /Two of the files are named "motd"/],
      [["put", "--on", "local:1", "--mode", "rw", "motd", "/x"], /--mode must be permissions in octal/],
      [["get", "--on", "local:1", "x"], /Which files, and into which folder\?/],
      [["get", "--on", "local:1", "/", "x"], /"" is not the name of a file/],
      [["get", "--on", "local:1", "x", "motd"], /"motd" is not a folder/],
      [["put", "--on", "local:1", "motd", ""], /The place on the hosts is empty/],
      [["sync", "--on", "local:1", "site", ""], /The place on the hosts is empty/],
      [["sync", "--on", "local:1", "site", "/x", "--", "-ve", "ssh"], /leave out "-ve"/],
      [["sync", "--on", "local:1", "site", "/x", "--", "--rsh=ssh"], /leave out "--rsh=ssh"/],
      [["sync", "--on", "local:1", "none", "/x"], /There is no folder "none"/],
      [["sync", "--on", "local:1", "site", "/x", "y"], /sync takes a local folder and a folder on the hosts/],
      [["sync", "--on", "local:1", "site", "/x", "--", "y"], /Only options of rsync may follow --/],
    ];
    for (const [words, message] of cases) {
      const { code, stderr } = await mitogenHere(words, { cwd: folder, env });
      assert.match(stderr, message, words.join(" "));
      assert.equal(code, 2);
    }
  });
});
